import type { JobType, RequestOptions, SubtitleFormat } from "../job/contract.ts";
import type { OutputFile } from "../job/facts.ts";
import type { LayoutWish, ReformatOptions } from "../job/reformat.ts";
import type { JobStatus, JobView } from "../job/summary.ts";
import type { WaitOptions, WatchOptions } from "./follow-jobs.ts";

/** Which jobs are wanted; what is left out does not matter. */
export interface JobFilter {
  readonly type?: JobType | undefined;
  /** Any of these. */
  readonly status?: readonly JobStatus[] | undefined;
  readonly tenant?: string | undefined;
  readonly tag?: string | undefined;
  /** Submitted at this time or later, epoch milliseconds. */
  readonly since?: number | undefined;
  /** Submitted before this time, epoch milliseconds. */
  readonly before?: number | undefined;
  /** Part of the ID or of the path of the input or an output, whatever its case. */
  readonly search?: string | undefined;
}

export interface JobQuery extends JobFilter {
  /** How many at most. */
  readonly limit: number;
  /** `nextCursor` of the page before. */
  readonly cursor?: string | undefined;
}

export interface JobPage {
  /** Newest first. */
  readonly jobs: JobView[];
  /** Null when this was the last page. A page may be short, even empty, although more follow. */
  readonly nextCursor: string | null;
}

/**
 * Jobs as producers and operators see them: in Redis itself, or over HTTP. Every call may throw `REDIS_UNAVAILABLE` and
 * the other codes of Redis, and over HTTP `API_UNAVAILABLE`, after it waited for as long as the client was told to.
 */
export interface Jobs {
  /**
   * Puts a job into its queue. With an `idempotencyKey` the same request gives the same job, as long as that
   * one is kept (completed jobs 7 days, failed ones 30).
   *
   * @throws MirumojiError the same codes as `parseRequest`, and `IDEMPOTENCY_CONFLICT` when the key belongs to
   * another request; nothing is queued then
   *
   * @param extra.apiKey - ID of the API key that submits, which only the HTTP API itself knows: its webhook is told of
   * the end, and its secrets sign
   */
  submit<T extends JobType>(
    type: T,
    options: RequestOptions[T],
    extra?: { idempotencyKey?: string; apiKey?: string },
  ): Promise<Submitted<T>>;
  /** @throws MirumojiError `JOB_NOT_FOUND` */
  get(id: string): Promise<JobView>;
  /** The newest jobs that match, newest first. */
  list(options: JobFilter & { readonly limit: number }): Promise<JobView[]>;
  /**
   * A page of them; go on with `nextCursor` until it is null.
   *
   * @throws MirumojiError `REQUEST_INVALID` when the cursor is none
   */
  listPage(query: JobQuery): Promise<JobPage>;
  /**
   * Waits for the end of a job, also while Redis or the API is away for a while. Any number of waits shares one
   * connection.
   *
   * @throws MirumojiError `JOB_NOT_FOUND`, `WAIT_TIMED_OUT`, `REDIS_UNAVAILABLE`; the reason of `signal` when it aborts
   */
  wait(id: string, options?: WaitOptions): Promise<JobView>;
  /**
   * The job as it is, then as it is after each change, until its end: `for await (const job of client.watch(id))`.
   *
   * @throws MirumojiError `JOB_NOT_FOUND`; the reason of `signal` when it aborts
   */
  watch(id: string, options?: WatchOptions): AsyncIterable<JobView>;
  /**
   * Asks for a job to stop, from any process. It ends as `cancelled`: at once when nobody worked on it yet,
   * else as soon as its call is stopped and its volume deleted. Cancelling twice, or a finished job, is
   * harmless: `accepted` is false only when the job was over already.
   *
   * @throws MirumojiError `JOB_NOT_FOUND`
   */
  cancel(id: string): Promise<{ id: string; accepted: boolean }>;
  /**
   * Gives a failed or cancelled job another life, from its checkpoint where there is one, else from the start.
   *
   * @throws MirumojiError `JOB_NOT_FOUND`, `JOB_NOT_RETRYABLE`
   */
  retry(id: string): Promise<void>;
  /**
   * Forgets a job that is over. Its outputs stay where they are.
   *
   * @throws MirumojiError `JOB_NOT_FOUND`, `JOB_NOT_FINISHED`
   */
  delete(id: string): Promise<void>;
}

/** Transcripts of jobs that are over, in any format and layout, without the GPU. */
export interface TranscriptReader {
  /**
   * The text of a transcript. What is left out of `layout` is as the job had it.
   *
   * @throws MirumojiError `JOB_NOT_FOUND`, `JOB_NOT_FINISHED`, `OUTPUT_NOT_FOUND`
   */
  readTranscript(id: string, format?: SubtitleFormat, layout?: LayoutWish): Promise<string>;
  /**
   * Writes files below the media root, by default beside those of the job, all or none.
   *
   * @throws MirumojiError the same, `REQUEST_INVALID`, `OUTPUT_EXISTS` unless `overwrite` is true, `OUTPUT_CLAIMED`,
   * `OUTPUT_UNWRITABLE`; `CONFIG_INVALID` where whoever writes has no media root
   */
  reformat(id: string, options: ReformatOptions): Promise<OutputFile[]>;
}

/** A job that is in its queue. */
export interface Submitted<T extends JobType = JobType> {
  readonly id: string;
  readonly type: T;
  /** False when the job of this idempotency key was there already. */
  readonly created: boolean;
}
