import { MirumojiError } from "../../job/errors.ts";

/** Converts an aborted signal to one of our errors; its reason is kept if it is one already. */
export function abortError(signal: AbortSignal): MirumojiError {
  const reason: unknown = signal.reason;
  if (reason instanceof MirumojiError) return reason;
  return new MirumojiError("INTERRUPTED", "the work was stopped from outside", { cause: reason });
}

/** @throws MirumojiError when the signal is aborted already */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}

/**
 * Settles with the promise or with the abort, whichever comes first. For promises that react to a signal late
 * or not at all (an RPC that waits for its token, a digest); their later result is ignored.
 */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise;
  if (signal.aborted) {
    promise.catch(() => {});
    throw abortError(signal);
  }
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(abortError(signal));
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Waits, or throws the abort. */
export async function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  try {
    await orAborted(over, signal);
  } finally {
    clearTimeout(timer);
  }
}
