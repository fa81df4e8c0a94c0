import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { JobView } from "../src/job/summary.ts";
import { makeSpokenFilm } from "../support/film.ts";
import { type Stack, startStack } from "../support/stack.ts";

const HANDLER = fileURLToPath(new URL("../support/paced_handler.py", import.meta.url));
const SETTINGS = { MIRUMOJI_HANDLER: HANDLER, MIRUMOJI_PARALLEL_START: "5", MIRUMOJI_LEASE: "2" };

/** One transcription of a film. */
type FilmRow = Readonly<Record<"containers" | "parts" | "calls", number>> & {
  readonly seconds: number;
  readonly uploadSeconds: number;
  readonly callSeconds: number;
  readonly gpuSeconds: number;
  readonly wordsSaid: number;
  /** Words of the film that the joined subtitles have in their place. */
  readonly wordsRight: number;
  readonly kills: number;
  /** Parts that the GPU host was given in all. */
  readonly partsPaid: number;
};

/**
 * Transcribes a film with an engine that takes 1 s for 30 s of sound, in one container and in several; then a shorter
 * one whose worker is killed each time a part has come.
 */
export async function measureFilm(options: {
  readonly seconds: number;
  readonly containers: readonly number[];
  readonly killedSeconds: number;
}): Promise<FilmRow[]> {
  const most = Math.max(...options.containers);
  await using stack = await startStack({ maxConcurrentCalls: most });
  const said = await makeSpokenFilm(join(stack.mediaRoot, "film.wav"), {
    seconds: options.seconds,
    hasPauses: true,
  });
  const rows: FilmRow[] = [];
  const worker = await stack.startWorker(SETTINGS);
  for (const containers of options.containers) {
    const { id } = await submit(stack, "film", { containers, pace: 30 });
    rows.push(await rowOf(stack, await stack.client.wait(id, { pollMs: 100 }), { said, kills: 0 }));
  }
  await worker.kill("SIGTERM");
  rows.push(await killedAtEveryPart(stack, options.killedSeconds));
  return rows;
}

async function killedAtEveryPart(stack: Stack, seconds: number): Promise<FilmRow> {
  const said = await makeSpokenFilm(join(stack.mediaRoot, "killed.wav"), { seconds, hasPauses: true });
  let worker = await stack.startWorker(SETTINGS);
  const { id } = await submit(stack, "killed", { containers: 3, pace: 150 });
  let kills = 0;
  let done = 0;
  for (;;) {
    const job = await stack.seen(
      id,
      ({ step, status }) => status !== "running" || (step?.fraction ?? 0) > done,
    );
    if (job.status === "completed" || job.status === "failed") {
      return await rowOf(stack, job, { said, kills });
    }
    if (job.state !== "call") continue;
    done = job.step?.fraction ?? 1;
    await worker.kill("SIGKILL");
    kills += 1;
    worker = await stack.startWorker(SETTINGS);
  }
}

async function submit(
  { client }: Stack,
  film: string,
  { containers, pace }: { readonly containers: number; readonly pace: number },
) {
  return await client.submit("transcribe", {
    input: `${film}.wav`,
    output: `${film}-${containers}.json`,
    language: "en",
    formats: ["json"],
    parallel: containers,
    initial_prompt: `pace=${pace}`,
  });
}

const transcriptSchema = z.object({
  segments: z.array(z.object({ words: z.array(z.object({ text: z.string() })) })),
});

async function rowOf(
  { mediaRoot, host }: Stack,
  job: JobView,
  { said, kills }: { readonly said: readonly number[]; readonly kills: number },
): Promise<FilmRow> {
  if (job.status !== "completed") throw new Error(`${job.error?.code}: ${job.error?.message}`);
  const text = await readFile(join(mediaRoot, job.outputs[0]?.path ?? ""), "utf8");
  const heard = transcriptSchema.parse(JSON.parse(text)).segments.flatMap(({ words }) => words);
  const secondsIn = (name: string) => (job.states.find(({ state }) => state === name)?.ms ?? 0) / 1000;
  const { calls = [], gpuSeconds = 0 } = job.receipt ?? {};
  const ids = new Set(calls.map(({ callId }) => callId));
  const { parts = 1, containers = 1 } = job.report?.parallel ?? {};
  return {
    containers,
    parts,
    calls: calls.length,
    seconds: ((job.finishedAt ?? 0) - (job.startedAt ?? 0)) / 1000,
    uploadSeconds: secondsIn("upload"),
    callSeconds: secondsIn("call"),
    gpuSeconds: Math.round(gpuSeconds * 10) / 10,
    wordsSaid: said.length,
    wordsRight: said.filter((word, index) => Number(heard[index]?.text) === word).length,
    kills,
    partsPaid: host
      .stats()
      .calls.list.filter((call) => ids.has(call.id))
      .reduce((sum, { inputs }) => sum + inputs, 0),
  };
}
