import type { Redis } from "ioredis";
import { type Checkpoint, checkpointSchema } from "../job/checkpoint.ts";
import { JOB_TYPES } from "../job/contract.ts";
import type { JobView } from "../job/summary.ts";
import { viewOf } from "./job-view.ts";
import { jobKeys } from "./keys.ts";
import type { Queues } from "./queues.ts";

/** All that Redis holds about one job, for people who look into it. */
export interface JobDetails {
  readonly view: JobView;
  /** Log lines, oldest first. */
  readonly log: readonly string[];
  /** Null before a worker had the job, after it ended, and when it cannot be read. */
  readonly checkpoint: Checkpoint | null;
  /** Epoch milliseconds; null unless a cancel was requested. */
  readonly cancelRequestedAt: number | null;
}

/** Returns null when there is no such job. */
export type JobInspector = (id: string) => Promise<JobDetails | null>;

export function createJobInspector(redis: Redis, queues: Queues, prefix: string): JobInspector {
  return async (id) => {
    for (const type of JOB_TYPES) {
      const queue = queues[type];
      const state = await queue.getJobState(id);
      const job = await queue.getJob(id);
      if (job === undefined) continue;
      const keys = jobKeys(prefix, type, id);
      const [{ logs }, record, cancelRequestedAt] = await Promise.all([
        queue.getJobLogs(id),
        redis.hget(keys.checkpoint, "record"),
        redis.hget(keys.job, "cancelRequestedAt"),
      ]);
      return {
        view: viewOf(job, state),
        log: logs,
        checkpoint: readCheckpoint(record),
        cancelRequestedAt: cancelRequestedAt === null ? null : Number(cancelRequestedAt),
      };
    }
    return null;
  };
}

function readCheckpoint(record: string | null): Checkpoint | null {
  if (record === null) return null;
  try {
    return checkpointSchema.safeParse(JSON.parse(record)).data ?? null;
  } catch {
    return null;
  }
}
