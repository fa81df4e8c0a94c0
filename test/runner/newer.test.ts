import { describe, expect, it } from "vitest";
import { decodeCheckpoint, firstCheckpoint, moved } from "../../src/job/checkpoint.ts";
import { runJob } from "../../src/runner/run-job.ts";
import { FakeWorld } from "../helpers/runner/fake-world.ts";

const input = "film.mkv";

describe("a job that a newer version wrote", () => {
  it.each([
    ["a higher version of the request", { data: { v: 2, input, colour: "red" } }, null],
    ["a field of the request", { data: { v: 1, input, colour: "red" } }, null],
    ["a higher version of the checkpoint", {}, JSON.stringify({ v: 3, state: "dream", facts: 7 })],
  ])("is handed back with a pause, and says why: %s", async (_words, delivery, checkpoint) => {
    const world = new FakeWorld();
    world.checkpoint = checkpoint;
    const result = await runJob(world.delivery(delivery), world.tools());
    expect(result).toMatchObject({ kind: "delayed" });
    expect(world.effects).toEqual([]);
    expect(world.checkpoint).toBe(checkpoint);
    expect(world.summary).toMatchObject({ status: "queued", error: { code: "NEEDS_NEWER_WORKER" } });
    expect(world.named("job.delayed")).toMatchObject([{ code: "NEEDS_NEWER_WORKER" }]);
  });

  it("is refused when its field is still unknown after a while, or when something else is wrong", async () => {
    const world = new FakeWorld();
    const data = { v: 1, input, colour: "red" };
    world.clock += 11 * 60_000;
    const late = await runJob(
      world.delivery({ data, submittedAt: world.clock - 11 * 60_000 }),
      world.tools(),
    );
    expect(late).toMatchObject({ kind: "failed", code: "REQUEST_INVALID" });
    const wrong = await runJob(world.delivery({ data: { ...data, preset: 7 } }), world.tools());
    expect(wrong).toMatchObject({ kind: "failed", code: "REQUEST_INVALID" });
  });

  it("ends when it was cancelled and nobody has begun it", async () => {
    const world = new FakeWorld();
    world.cancelRequested = true;
    const result = await runJob(world.delivery({ data: { v: 2, input } }), world.tools());
    expect(result).toMatchObject({ kind: "failed", code: "CANCELLED" });
  });
});

it("keeps facts of a checkpoint that are unknown here, however deep, through a rewrite", () => {
  const known = moved(firstCheckpoint(1, 0), "upload", { volumeId: "vo-1" }, 2);
  const stored = {
    ...known,
    colour: "red",
    facts: {
      ...known.facts,
      inputTracks: [{ kind: "audio", number: 1, why: "x", mood: "calm" }],
      newFact: { a: [1] },
    },
    visits: known.visits.map((visit) => ({ ...visit, where: "here" })),
  };
  const read = decodeCheckpoint(JSON.stringify(stored));
  expect(read).toEqual(stored);
  const next = moved(read, "call", { remotePath: "x", inputBytes: 1, sentBytes: 1 }, 3);
  expect(next).toMatchObject({ colour: "red", facts: { newFact: { a: [1] }, volumeId: "vo-1" } });
  expect(next.visits[0]).toHaveProperty("where", "here");
});
