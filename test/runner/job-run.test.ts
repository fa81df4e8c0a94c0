import { expect, it } from "vitest";
import { firstCheckpoint } from "../../src/job/checkpoint.ts";
import { MirumojiError } from "../../src/job/errors.ts";
import { parseRequest } from "../../src/job/parse-request.ts";
import { Fenced, JobRun } from "../../src/runner/job-run.ts";
import { FakeWorld } from "../helpers/runner/fake-world.ts";

const lost = new MirumojiError("CALL_LOST", "gone");

it.each([
  ["refused", async () => await Promise.resolve("refused" as const), Fenced],
  ["failed", async () => await Promise.reject(new Error("READONLY")), "READONLY"],
])("a change whose write is %s leaves the checkpoint in memory as it was", async (_, commit, thrown) => {
  const world = new FakeWorld();
  const checkpoint = { ...firstCheckpoint(1, 0), attempt: 2 };
  const run = new JobRun({
    identity: { jobId: "j1", type: "convert" },
    request: parseRequest("convert", { v: 1, input: "film.mkv" }),
    checkpoint,
    delivery: world.delivery({ lease: { ...world.lease("w1"), commit } }),
    tools: world.tools(),
  });
  const changes = {
    save: async () => await run.save({ callId: "fc-1" }),
    move: async () => await run.move("upload", { volumeId: "vo-1" }),
    retry: async () => await run.retry(lost, 1),
    resetAttempts: async () => await run.resetAttempts(),
    rewind: async () => await run.rewind("createVolume", lost),
    unwind: async () => await run.unwind({ kind: "unwind", ending: "failed" }, lost),
  };
  for (const change of Object.values(changes)) {
    await expect(change()).rejects.toThrow(thrown);
    expect(run.checkpoint).toBe(checkpoint);
  }
  expect(world.events).toEqual([]);
});
