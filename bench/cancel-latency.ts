import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startStack } from "../test/helpers/stack.ts";

/** A function that runs until it is stopped. */
const ENDLESS = `
import time

def transcribe(vol_fp, vol_id, output_format="segments", *, w_model_args=None, w_transcribe_args=None):
    while True:
        time.sleep(0.1)

def convert(vol_fp, vol_id, to_mp4_kwargs=None):
    while True:
        time.sleep(0.1)
`;

/** Cancels go out at random moments of a job's life up to this. */
const LATEST_MS = 6000;
const AT_A_TIME = 8;

/**
 * Cancels `cancels` jobs at random moments and measures the time from the request until the job is over:
 * call stopped, volume deleted, status `cancelled`. One worker process, real Redis, real GPU host.
 */
export async function measureCancelLatency(cancels: number): Promise<Record<string, unknown>> {
  await using stack = await startStack({ maxConcurrentCalls: AT_A_TIME });
  const handler = join(stack.mediaRoot, "..", "mirumoji_gpu.py");
  await writeFile(handler, ENDLESS);
  await stack.startWorker({ MIRUMOJI_HANDLER: handler, MIRUMOJI_CONVERT_CONCURRENCY: String(AT_A_TIME) });
  const samples: { ms: number; state: string }[] = [];
  let left = cancels;
  const one = async () => {
    const { id } = await stack.client.submit("convert", { input: "film.mp4", output: `${left}.mp4` });
    await sleep(Math.random() * LATEST_MS);
    const { state } = await stack.client.get(id);
    const askedAt = performance.now();
    await stack.client.cancel(id);
    const job = await stack.client.wait(id, { pollMs: 10 });
    if (job.status !== "cancelled") throw new Error(`job ${id} ended as ${job.status}`);
    samples.push({ ms: performance.now() - askedAt, state });
  };
  await Promise.all(
    Array.from({ length: AT_A_TIME }, async () => {
      while (left > 0) {
        left -= 1;
        await one();
      }
    }),
  );
  const times = samples.map(({ ms }) => ms).toSorted((a, b) => a - b);
  const at = (share: number) =>
    Math.round(times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? 0);
  const { volumes, calls } = stack.host.stats();
  return {
    cancels,
    p50Ms: at(0.5),
    p90Ms: at(0.9),
    p99Ms: at(0.99),
    longestMs: at(1),
    states: countStates(samples),
    volumesLeft: volumes.live,
    callsLeft: calls.running,
  };
}

function countStates(samples: readonly { state: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { state } of samples) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}
