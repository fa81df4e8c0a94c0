/**
 * Meaning of a failure for the job:
 * - `input`: the request or the media is wrong; fail at once, another try cannot help.
 * - `remote`: the function ran and failed for good (raised, timed out, ran out of memory).
 * - `storage`: the disk or the mount of the media root, or Redis, is unwell; wait for it, no attempt spent, until the job's deadline.
 * - `budget`: a spending limit is reached; wait until it renews, no attempt spent, until the job's deadline.
 * - `transient`: the platform is unwell; try again with backoff, bounded by the table.
 * - `platform`: Modal cannot be reached; the whole pool pauses, no attempt spent, until the job's deadline.
 * - `quota`: we are going too fast; the whole pool pauses for a moment, no attempt spent.
 * - `worker`: this worker is at fault, not the job: it takes no more jobs and hands back what it has.
 * - `lost`: a remote resource vanished; go back to the state that can make it again.
 * - `cancelled`: a cancel was requested.
 * - `interrupted`: this worker stops or lost its lease; the job goes on elsewhere.
 * - `defect`: something that cannot happen did; fail at once and tell the operator.
 */
export type ErrorKind =
  | "input"
  | "remote"
  | "storage"
  | "budget"
  | "transient"
  | "platform"
  | "quota"
  | "worker"
  | "lost"
  | "cancelled"
  | "interrupted"
  | "defect";

export interface ErrorRow {
  readonly kind: ErrorKind;
  /** One sentence for `docs/errors.md`: what happened. */
  readonly meaning: string;
  /** One sentence for `docs/errors.md`: what the reader should do. */
  readonly advice: string;
}
