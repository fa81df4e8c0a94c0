/** Node's timers fire at once beyond this. An attempt is never that long. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A moment at which an attempt is over, and the reason; the reason is only made when it is reached. */
export interface Limit {
  readonly inMs: number;
  readonly reason: () => Error;
}

/**
 * One signal for one attempt: it aborts with the first of `sources`, or at the first limit. `AbortSignal.any`
 * would do the same for ten times the processor time, and leave the cleaning up to the garbage collector.
 */
export function attemptSignal(
  sources: readonly AbortSignal[],
  limits: readonly Limit[],
): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const follow = (event: { readonly target: unknown }) => {
    const source = event.target as AbortSignal;
    controller.abort(source.reason);
  };
  for (const source of sources) {
    if (source.aborted) controller.abort(source.reason);
    else source.addEventListener("abort", follow);
  }
  const timers = limits.map(({ inMs, reason }) =>
    setTimeout(() => controller.abort(reason()), Math.min(Math.max(0, inMs), LONGEST_TIMER_MS)),
  );
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const timer of timers) clearTimeout(timer);
      for (const source of sources) source.removeEventListener("abort", follow);
    },
  };
}
