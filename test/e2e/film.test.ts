import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import type { JobView } from "../../src/job/summary.ts";
import { makeSpokenFilm } from "../../support/film.ts";
import { type Stack, startStack } from "../../support/stack.ts";

const HANDLER = fileURLToPath(new URL("../../support/paced_handler.py", import.meta.url));
const FILM = { MIRUMOJI_HANDLER: HANDLER, MIRUMOJI_PARALLEL_START: "0", MIRUMOJI_LEASE: "2" };

let stack: Stack;
let said: Record<string, number[]>;
beforeAll(async () => {
  stack = await startStack({ maxConcurrentCalls: 3 });
  said = {
    talk: await makeSpokenFilm(join(stack.mediaRoot, "talk.wav"), { seconds: 400, hasPauses: true }),
    music: await makeSpokenFilm(join(stack.mediaRoot, "music.wav"), { seconds: 400, hasPauses: false }),
  };
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
});

interface TranscribeChoice {
  readonly parallel?: number;
  readonly initial_prompt: string;
  readonly cache?: number | null;
  readonly beam_size?: number;
}

async function submit(film: string, output: string, options: TranscribeChoice) {
  const request = { input: `${film}.wav`, output, language: "en", formats: ["json" as const], ...options };
  return await stack.client.submit("transcribe", request);
}

const transcript = z.object({
  segments: z.array(z.object({ words: z.array(z.object({ text: z.string() })) })),
});
async function wordsOf({ outputs: [output] }: JobView): Promise<number[]> {
  const text = await readFile(join(stack.mediaRoot, output?.path ?? ""), "utf8");
  return transcript
    .parse(JSON.parse(text))
    .segments.flatMap(({ words }) => words.map(({ text: word }) => Number(word)));
}

describe("a film that several containers share", () => {
  it("is one call, whose parts join without a seam, with pauses and without", async () => {
    const worker = await stack.startWorker(FILM);
    for (const film of ["talk", "music"]) {
      const { id } = await submit(film, `${film}.json`, { parallel: 3, initial_prompt: "pace=4000" });
      const job = await stack.client.wait(id, { pollMs: 50 });
      expect(job.error).toBeNull();
      expect(await wordsOf(job)).toEqual(said[film]);
      expect(job.report).toMatchObject({
        engine: "paced",
        mediaSeconds: 400,
        parallel: { asked: 3, containers: 3, parts: 3 },
        warnings: [],
      });
      expect(job.receipt?.calls).toMatchObject([{ outcome: "succeeded", inputs: 3, waitSeconds: null }]);
    }
    await worker.kill("SIGTERM");
  });

  it("pays only the part again that failed, and only what is missing after its worker was killed", async () => {
    const first = await stack.startWorker(FILM);
    const { id } = await submit("talk", "again.json", { parallel: 3, initial_prompt: "pace=100 fails=1" });
    // Two of three parts have come and are written down; the third failed, and is made again.
    await stack.seen(id, ({ step }) => (step?.fraction ?? 0) > 0.5);
    await first.kill("SIGKILL");
    await stack.startWorker(FILM);
    const job = await stack.client.wait(id, { pollMs: 50 });
    expect(job.error).toBeNull();
    expect(await wordsOf(job)).toEqual(said["talk"]);
    expect(job.receipt?.calls).toMatchObject([{ inputs: 3 }, { inputs: 1 }]);
    const { stdout } = await stack.command(["status", id]);
    expect(stdout).toContain("spread   3 parts in at most 3 containers\n");
  });

  it("is not transcribed again when its sound was before, if that will do", async () => {
    const options = { parallel: 2, initial_prompt: "pace=4000", cache: 3600 };
    const first = await stack.client.wait((await submit("talk", "once.json", options)).id, { pollMs: 50 });
    expect(first.report?.cachedFrom).toBeUndefined();
    const calls = stack.host.stats().calls.list.length;
    const again = { ...options, parallel: 1 };
    const second = await stack.client.wait((await submit("talk", "twice.json", again)).id, { pollMs: 50 });
    expect(second.error).toBeNull();
    expect(second).toMatchObject({
      report: { cachedFrom: first.id, engine: "paced", mediaSeconds: 400, gpuSeconds: 0 },
      receipt: { calls: [], volumeDeleted: true },
    });
    expect(await wordsOf(second)).toEqual(said["talk"]);
    expect(stack.host.stats().calls.list).toHaveLength(calls);
    // Another option, or none at all, and it is transcribed.
    for (const other of [
      { ...options, beam_size: 4 },
      { ...options, cache: null },
    ]) {
      const job = await stack.client.wait((await submit("talk", `${other.cache}.json`, other)).id, {
        pollMs: 50,
      });
      expect(job.report?.cachedFrom).toBeUndefined();
    }
    expect(stack.host.stats().calls.list).toHaveLength(calls + 2);
  });

  it("gives what was transcribed when it is cancelled, if that is asked for", async () => {
    const { id } = await submit("talk", "early.json", { parallel: 2, initial_prompt: "pace=400 slow=1" });
    // The first of two parts has come.
    await stack.seen(id, ({ step }) => (step?.fraction ?? 0) >= 0.49);
    await stack.client.cancel(id);
    const job = await stack.client.wait(id, { pollMs: 50 });
    expect(job).toMatchObject({ status: "cancelled", outputs: [], receipt: { volumeDeleted: true } });
    const reformat = ["reformat", id, "--stdout", "-f", "txt"];
    const refused = await stack.command(reformat);
    expect(refused.stderr).toContain("can be had with `partial`");
    const partial = await stack.command([...reformat, "--partial"]);
    const heard = partial.stdout
      .split(/\s+/u)
      .filter((word) => word !== "")
      .map(Number);
    expect(heard.length).toBeGreaterThan(100);
    expect(said["talk"]?.join(" ")).toContain(heard.join(" "));
  });
});
