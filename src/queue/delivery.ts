import type { JobSummary } from "../job/summary.ts";
import type { JobSignals } from "./job-signals.ts";
import type { Lease } from "./lease.ts";

/** A job that BullMQ handed to this worker. */
export interface Delivery {
  readonly jobId: string;
  readonly queue: string;
  /** Name and data as the producer sent them; nothing about them is checked yet. */
  readonly name: string;
  readonly data: unknown;
  /** True when no worker had the job before: there is no checkpoint to read. */
  readonly isFirst: boolean;
  /** How often a worker died or stalled on it, by BullMQ's count over all its lives. */
  readonly crashes: number;
  /** Epoch milliseconds. */
  readonly submittedAt: number;
  readonly lease: Lease;
  readonly signals: JobSignals;
}

/** How a delivery ended. `settle` clears the books once BullMQ has the job as finished. */
export type DeliveryResult =
  | { readonly kind: "completed"; readonly summary: JobSummary; readonly settle: () => Promise<void> }
  | {
      readonly kind: "failed";
      readonly code: string;
      readonly message: string;
      readonly settle: () => Promise<void>;
    }
  /** The job waits for its next try; one that `heedsCancel` comes at once when a cancel is requested. */
  | { readonly kind: "delayed"; readonly delayMs: number; readonly heedsCancel: boolean }
  /** Handed back, to be taken up by any worker at once. */
  | { readonly kind: "released" }
  /** Another worker owns the job, or it rests until its lease runs out: nothing is written. */
  | { readonly kind: "fenced" };
