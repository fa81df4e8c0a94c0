import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startStack } from "../support/stack.ts";

/** Takes as long as the input's name says. */
const HANDLER = fileURLToPath(new URL("../support/handler.py", import.meta.url));
/** Half the jobs run until they are stopped; the others reach their download. */
const INPUTS = ["wait600-film.mp4", "wait0-film.mp4"];
/** Jobs that the worker runs at a time; one more waits in the queue for each second one of them. */
const SLOTS = 8;
const AT_A_TIME = 12;
/** Cancels are sent at random moments of a job's life up to this; a queued job's life has not begun. */
const LATEST_MS = 3000;
/** Delay per request that keeps jobs in the short states; a cancel may have to wait for it too. */
const LATENCY_MS = { VolumeGetOrCreate: 200, VolumePutFiles2: 300, FunctionMap: 200, VolumeGetFile2: 1000 };

/**
 * Cancels jobs at random moments until `cancels` were in time, and measures from the request until the job is over:
 * call stopped, volume deleted, status `cancelled`. One worker process, real Redis, real GPU host.
 */
export async function measureCancelLatency(cancels: number): Promise<Record<string, unknown>> {
  await using stack = await startStack({ maxConcurrentCalls: SLOTS });
  for (const input of INPUTS) await stack.put(input);
  for (const [rpc, latencyMs] of Object.entries(LATENCY_MS)) {
    await fetch(stack.host.adminUrl, { method: "POST", body: JSON.stringify({ rpc, latencyMs }) });
  }
  await stack.startWorker({ MIRUMOJI_HANDLER: HANDLER, MIRUMOJI_CONVERT_CONCURRENCY: String(SLOTS) });
  const samples: { ms: number; state: string }[] = [];
  let serial = 0;
  const one = async () => {
    serial += 1;
    const input = INPUTS[serial % INPUTS.length] ?? "";
    const { id } = await stack.client.submit("convert", { input, output: `${serial}.mp4` });
    await sleep(Math.random() * LATEST_MS);
    const { state } = await stack.client.get(id);
    const askedAt = performance.now();
    await stack.client.cancel(id);
    const job = await stack.client.wait(id, { pollMs: 10 });
    if (job.status === "cancelled") samples.push({ ms: performance.now() - askedAt, state });
    // Too late: its outputs were written.
    else if (job.status !== "completed") throw new Error(`job ${id} ended as ${job.status}`);
  };
  await Promise.all(
    Array.from({ length: AT_A_TIME }, async () => {
      while (samples.length < cancels) await one();
    }),
  );
  const times = samples.map(({ ms }) => ms).toSorted((a, b) => a - b);
  const at = (share: number) =>
    Math.round(times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? 0);
  const { volumes, calls } = stack.host.stats();
  return {
    cancels: samples.length,
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
