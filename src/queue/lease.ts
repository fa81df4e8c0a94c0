import type { Redis } from "ioredis";
import { type Checkpoint, encodeCheckpoint } from "../job/checkpoint.ts";
import type { JobSummary } from "../job/summary.ts";
import { jobKeys } from "./keys.ts";

/** What the ledger says about a live volume: enough for any process to keep it alive or remove it. */
export interface LedgerEntry {
  readonly queue: string;
  readonly jobId: string;
  readonly createdAt: number;
  readonly callId: string | null;
  /** The app that the call was started in. */
  readonly appId: string | null;
}

/** What one write changes; all of it or nothing. */
export interface Commit {
  readonly checkpoint?: Checkpoint;
  readonly ledger?: { volumeId: string; entry: LedgerEntry };
  /** A volume that is no longer the job's. */
  readonly strike?: string;
  readonly summary?: JobSummary;
  readonly log?: string;
}

/** What became of a write. */
export type Committed =
  | "written"
  /** Written, and somebody wants the job to stop. */
  | "cancelRequested"
  /** Not written: another worker owns the job: leave, touch nothing. */
  | "refused";

/** The right to work on one job, until another worker has it. */
export interface Lease {
  /** The stored checkpoint as text, or null, and whether somebody wants the job to stop. */
  load(): Promise<{ record: string | null; cancelRequested: boolean }>;
  /** Writes while the lease holds. */
  commit(commit: Commit): Promise<Committed>;
  /** Clears the books after BullMQ has the job as finished. `volumeId`: deleted for sure. */
  settle(end: { volumeId: string | null; summary: JobSummary; log: string }): Promise<void>;
}

/** What `commit.lua` gives. */
const COMMITTED: Record<number, Committed> = { 0: "refused", 1: "written", 2: "cancelRequested" };

/** The lease that BullMQ gave with `token`. */
export function createLease(
  redis: Redis,
  options: { prefix: string; queue: string; jobId: string; token: string },
): Lease {
  const keys = jobKeys(options.prefix, options.queue, options.jobId);
  return {
    async load() {
      const [record, flag] = await Promise.all([
        redis.hget(keys.checkpoint, "record"),
        redis.hexists(keys.job, "cancelRequestedAt"),
      ]);
      return { record, cancelRequested: flag === 1 };
    },
    async commit({ checkpoint, ledger, strike, summary, log }) {
      const written = await redis.mirumojiCommit(
        keys.lock,
        keys.checkpoint,
        keys.ledger,
        keys.job,
        keys.events,
        keys.logs,
        options.token,
        checkpoint === undefined ? "" : encodeCheckpoint(checkpoint),
        ledger?.volumeId ?? "",
        ledger === undefined ? "" : JSON.stringify(ledger.entry),
        strike ?? "",
        summary === undefined ? "" : JSON.stringify(summary),
        options.jobId,
        log ?? "",
      );
      return COMMITTED[written] ?? "refused";
    },
    async settle({ volumeId, summary, log }) {
      await redis.mirumojiSettle(
        keys.lock,
        keys.checkpoint,
        keys.ledger,
        keys.job,
        keys.logs,
        volumeId ?? "",
        JSON.stringify(summary),
        log,
      );
    },
  };
}
