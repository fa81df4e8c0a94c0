import { expect } from "vitest";

/**
 * How long something takes to end once its signal aborts with `reason`, in milliseconds: the best of three,
 * because a machine with other work may let any single one wait.
 */
export async function abortLatency(
  reason: Error,
  afterMs: number,
  run: (signal: AbortSignal) => Promise<unknown>,
): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < 3 && best >= 100; tries++) {
    const controller = new AbortController();
    let abortedAt = 0;
    setTimeout(() => {
      abortedAt = performance.now();
      controller.abort(reason);
    }, afterMs);
    await expect(run(controller.signal)).rejects.toBe(reason);
    best = Math.min(best, performance.now() - abortedAt);
  }
  return best;
}
