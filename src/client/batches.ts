import { setTimeout as sleep } from "node:timers/promises";
import type { BatchView } from "../job/batch.ts";
import type { JobType, RequestOptions } from "../job/contract.ts";
import { type ErrorCode, MirumojiError } from "../job/errors.ts";
import type { WatchOptions } from "./follow-jobs.ts";

/** Jobs in the order in which they are to be done. */
export interface BatchRequest {
  readonly items: readonly {
    [T in JobType]: { readonly type: T; readonly request: RequestOptions[T] };
  }[JobType][];
  /** Is told once, when the last job has ended. */
  readonly webhook?: { readonly url: string } | undefined;
}

export interface BatchWaitOptions extends WatchOptions {
  /** Longest wait, in milliseconds; without it there is no limit. */
  readonly timeoutMs?: number;
  readonly onChange?: (batch: BatchView) => void;
}

/** Batches as producers see them: in Redis itself, or over HTTP. */
export interface BatchJobs {
  /**
   * Accepts up to 10,000 jobs, or none. The same key with the same items gives the same batch.
   *
   * @throws MirumojiError the codes of `submit`, with the number of the item, and `TENANT_LIMIT`
   */
  submit(
    batch: BatchRequest,
    extra?: { readonly idempotencyKey?: string },
  ): Promise<{ readonly id: string; readonly created: boolean }>;
  /** @throws MirumojiError `BATCH_NOT_FOUND` */
  get(id: string): Promise<BatchView>;
  /**
   * The batch as it is, then as it is after changes, until its end. It is looked at each `pollMs` (2,000 by default).
   *
   * @throws MirumojiError `BATCH_NOT_FOUND`; the reason of `signal` when it aborts
   */
  watch(id: string, options?: WatchOptions): AsyncIterable<BatchView>;
  /** Waits for the end. @throws MirumojiError also `WAIT_TIMED_OUT`; the batch goes on */
  wait(id: string, options?: BatchWaitOptions): Promise<BatchView>;
  /** Cancels what is not over; gives how many jobs that were. @throws MirumojiError `BATCH_NOT_FOUND` */
  cancel(id: string): Promise<number>;
  /** Retries what failed or was cancelled; gives how many jobs that were. @throws MirumojiError `BATCH_NOT_FOUND` */
  retry(id: string): Promise<number>;
}

const DEFAULT_POLL_MS = 2000;
/** Redis or the API is away; by the next look it may be back. */
const PASSING: ReadonlySet<ErrorCode> = new Set(["API_UNAVAILABLE", "REDIS_UNAVAILABLE", "RATE_LIMITED"]);

/** The ways to follow batches, where one can be looked at. */
export function followBatches(get: BatchJobs["get"]): Pick<BatchJobs, "watch" | "wait"> {
  const watch = (id: string, options: WatchOptions = {}) => watchBatch(get, id, options);
  return { watch, wait: async (id, options = {}) => await waitForBatch(watch, id, options) };
}

async function* watchBatch(
  get: BatchJobs["get"],
  id: string,
  { pollMs = DEFAULT_POLL_MS, signal }: WatchOptions,
): AsyncGenerator<BatchView, void, void> {
  for (let shown = ""; ;) {
    signal?.throwIfAborted();
    const batch = await lookAt(get, id, shown === "");
    const text = JSON.stringify(batch ?? shown);
    if (batch !== null && text !== shown) {
      shown = text;
      yield batch;
    }
    if (batch !== null && batch.status !== "running") return;
    // Many that wait do not all look in the same moment.
    await sleep(pollMs * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => {
      signal?.throwIfAborted();
    });
  }
}

/** Null where it cannot be seen for a while; the first look has to see it. */
async function lookAt(get: BatchJobs["get"], id: string, isFirst: boolean): Promise<BatchView | null> {
  try {
    return await get(id);
  } catch (error) {
    const isPassing = error instanceof MirumojiError && PASSING.has(error.code);
    if (isFirst || !isPassing) throw error;
    return null;
  }
}

async function waitForBatch(
  watch: (id: string, options: WatchOptions) => AsyncIterable<BatchView>,
  id: string,
  { timeoutMs, onChange, signal, ...options }: BatchWaitOptions,
): Promise<BatchView> {
  const limit = new AbortController();
  const late = () => {
    const message = `batch ${id} is not over after ${timeoutMs} ms; it goes on`;
    limit.abort(new MirumojiError("WAIT_TIMED_OUT", message));
  };
  const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
  const signals = signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]);
  try {
    for await (const batch of watch(id, { ...options, signal: signals })) {
      onChange?.(batch);
      if (batch.status !== "running") return batch;
    }
  } finally {
    clearTimeout(timer);
  }
  throw new MirumojiError("UNEXPECTED", `the changes of batch ${id} ended before the batch`);
}
