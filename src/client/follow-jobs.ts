import { type ErrorCode, MirumojiError } from "../job/errors.ts";
import { isFinal, type JobView } from "../job/summary.ts";

export interface WatchOptions {
  /**
   * How often the job is looked at in case its changes are not heard of, in milliseconds.
   *
   * @defaultValue 30,000
   */
  readonly pollMs?: number;
  readonly signal?: AbortSignal;
}

export interface WaitOptions extends WatchOptions {
  /** Longest wait, in milliseconds; without it there is no limit. */
  readonly timeoutMs?: number;
  readonly onChange?: (job: JobView) => void;
}

/** Where changes come from. Any number of jobs is followed over one connection. */
export interface JobSource {
  get(id: string): Promise<JobView>;
  listen(listener: {
    readonly jobId: string;
    readonly onChange: (change: { readonly job: JobView }) => void;
    readonly onGap: () => void;
  }): Promise<() => void>;
}

const DEFAULT_POLL_MS = 30_000;
const LAST_WORDS: ReadonlySet<ErrorCode> = new Set([
  "JOB_NOT_FOUND",
  "REDIS_UNAVAILABLE",
  "REDIS_NO_PERMISSION",
]);

/** The job as it is, then as it is after each change, until its end. What follows too closely is left out. */
export async function* watchJob(
  source: JobSource,
  id: string,
  { pollMs = DEFAULT_POLL_MS, signal }: WatchOptions,
): AsyncGenerator<JobView, void, void> {
  signal?.throwIfAborted();
  let newest: JobView | null = null;
  let failure: Error | null = null;
  let changes = 0;
  let wake = (): void => undefined;
  const put = (job: JobView) => {
    changes += 1;
    newest = job;
    wake();
  };
  const look = async () => {
    const before = changes;
    const job = await source.get(id);
    // Changes heard in the meantime are newer than the job that was read.
    if (changes === before) put(job);
  };
  const lookAgain = () => {
    look().catch((error: unknown) => {
      // Other errors may be over by the next look. Whoever says these has waited as long as may be waited.
      if (!(error instanceof MirumojiError) || !LAST_WORDS.has(error.code)) return;
      failure = error;
      wake();
    });
  };
  const onAbort = () => {
    failure = abortReason(signal);
    wake();
  };
  const unlisten = await source.listen({ jobId: id, onChange: ({ job }) => put(job), onGap: lookAgain });
  // Many that wait do not all look in the same moment.
  const timer = setInterval(lookAgain, pollMs * (0.75 + Math.random() / 2));
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    if (signal?.aborted === true) onAbort();
    else await look();
    let shown = "";
    for (;;) {
      if (failure !== null) throw failure as Error;
      const job = newest as JobView | null;
      newest = null;
      if (job === null) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      const text = JSON.stringify(job);
      if (text !== shown) yield job;
      shown = text;
      if (isFinal(job.status)) return;
    }
  } finally {
    clearInterval(timer);
    signal?.removeEventListener("abort", onAbort);
    unlisten();
  }
}

/**
 * Waits for the end of a job.
 *
 * @throws MirumojiError `JOB_NOT_FOUND`, `WAIT_TIMED_OUT`, `REDIS_UNAVAILABLE`; the reason of `signal` when it aborts
 */
export async function waitForJob(
  source: JobSource,
  id: string,
  { timeoutMs, onChange, signal, ...options }: WaitOptions,
): Promise<JobView> {
  const limit = new AbortController();
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(() => {
          limit.abort(
            new MirumojiError("WAIT_TIMED_OUT", `job ${id} is not over after ${timeoutMs} ms; it goes on`),
          );
        }, timeoutMs);
  const signals = signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]);
  try {
    for await (const job of watchJob(source, id, { ...options, signal: signals })) {
      onChange?.(job);
      if (isFinal(job.status)) return job;
    }
  } finally {
    clearTimeout(timer);
  }
  throw new MirumojiError("UNEXPECTED", `the changes of job ${id} ended before the job`);
}

function abortReason(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason : new Error(String(reason));
}
