import { abortError, sleep, throwIfAborted } from "./abort.ts";

export interface RetryOptions {
  readonly signal: AbortSignal | undefined;
  /** How often the action is tried in a row. */
  readonly tries: number;
  /** The limit of the first pause. */
  readonly firstMs?: number;
  readonly longestMs?: number;
  /** Whether an error is worth another try; every error unless told otherwise. */
  readonly isTransient?: (error: unknown) => boolean;
}

/**
 * Runs an action until it succeeds. `progressed` starts the count of tries again.
 *
 * @throws the last error; a MirumojiError when the signal aborts
 */
export async function retry<T>(
  action: (progressed: () => void) => Promise<T>,
  { signal, tries, firstMs = 500, longestMs = 5_000, isTransient = () => true }: RetryOptions,
): Promise<T> {
  let failures = 0;
  for (;;) {
    throwIfAborted(signal);
    try {
      return await action(() => {
        failures = 0;
      });
    } catch (error) {
      if (signal?.aborted) throw abortError(signal);
      failures++;
      if (failures >= tries || !isTransient(error)) throw error;
      await sleep(backoffMs(failures, firstMs, longestMs), signal);
    }
  }
}

/**
 * Pause before try number `attempt + 1`: a random time between zero and a limit that doubles with each try ("full
 * jitter"), so that many workers do not return at the same moment.
 */
export function backoffMs(attempt: number, firstMs: number, longestMs: number): number {
  return Math.random() * Math.min(longestMs, firstMs * 2 ** (attempt - 1));
}
