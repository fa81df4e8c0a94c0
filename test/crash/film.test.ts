import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { makeSpokenFilm } from "../../support/film.ts";
import { programFile } from "../../support/programs.ts";
import { startStack, startWorkerProcess } from "../../support/stack.ts";
import { death, IS_LONG } from "../helpers/crash/rig.ts";

/** The moments around what a call for parts costs. */
const POINTS = IS_LONG
  ? [
      "open:before",
      "open:after",
      "open:saved",
      "start:before",
      "start:after",
      "poll:before",
      "poll:after",
      "poll:saved",
    ]
  : ["start:after", "poll:saved"];

it(`${POINTS.join(", ")} of a film in parts: others finish it, and no part is paid twice`, async () => {
  await using stack = await startStack({ maxConcurrentCalls: 8 });
  await makeSpokenFilm(join(stack.mediaRoot, "talk.wav"), { seconds: 920, hasPauses: true });
  const handler = fileURLToPath(new URL("../../support/paced_handler.py", import.meta.url));
  const env = {
    REDIS_URL: stack.redisUrl,
    HOST_MEDIA_PATH: stack.mediaRoot,
    MODAL_SERVER_URL: stack.host.serverUrl,
    MODAL_TOKEN_ID: stack.host.tokenId,
    MODAL_TOKEN_SECRET: stack.host.tokenSecret,
    MIRUMOJI_HTTP_PORT: "0",
    MIRUMOJI_HANDLER: handler,
    MIRUMOJI_PARALLEL_START: "0",
    MIRUMOJI_LEASE: "2",
    MIRUMOJI_TRANSCRIBE_CONCURRENCY: "1",
  };
  const jobs: string[] = [];
  for (const point of POINTS) {
    const victim = await startWorkerProcess(stack.mediaRoot, { ...env, FAULT_POINT: point }, [
      programFile("faulty-worker"),
    ]);
    // Two containers for four parts: an input is put when an output has come, so `poll:saved` is before that.
    const { id } = await stack.client.submit("transcribe", {
      input: "talk.wav",
      output: `${jobs.length}.srt`,
      language: "en",
      parallel: 2,
      initial_prompt: "pace=1000",
    });
    jobs.push(id);
    await death(victim);
    expect(victim.log()).toContain(`fault point ${point} reached`);
  }
  await stack.startWorker({ ...env, MIRUMOJI_TRANSCRIBE_CONCURRENCY: "8" });
  const ended = await Promise.all(jobs.map(async (id) => await stack.client.wait(id, { pollMs: 50 })));
  expect(ended.map(({ status }) => status)).toEqual(POINTS.map(() => "completed"));
  const { calls, volumes } = stack.host.stats();
  const parts = ended.map(({ report }) => report?.parallel?.parts ?? 0);
  const put = calls.list.reduce((sum, { inputs }) => sum + inputs, 0);
  expect(put).toBe(parts.reduce((sum, count) => sum + count, 0));
  for (const { receipt } of ended) expect(receipt?.calls).toHaveLength(1);
  expect(volumes.live).toBe(0);
}, 120_000);
