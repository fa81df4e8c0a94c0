import type { Redis } from "ioredis";
import { JOB_TYPES, type JobType } from "../job/contract.ts";
import type { JobView } from "../job/summary.ts";
import { type JobRecord, parseJson, viewOf } from "./job-view.ts";
import { jobKeys } from "./keys.ts";
import type { Queues } from "./queues.ts";
import { runScript } from "./scripts.ts";

/** Reads jobs at a cost that does not grow with the backlog; BullMQ's own question for the state walks the lists. */
export interface JobReader {
  /** A job of one queue, or null when it is not there. */
  readOf(type: JobType, id: string): Promise<JobView | null>;
  /** A job of any queue. */
  read(id: string): Promise<JobView | null>;
}

export function createJobReader(redis: Redis, queues: Queues, prefix: string): JobReader {
  const readOf = async (type: JobType, id: string) => {
    const keys = jobKeys(prefix, type, id);
    const queue = queues[type];
    const answer = await runScript(redis, "read-job", {
      keys: {
        job: keys.job,
        lock: keys.lock,
        completed: queue.toKey("completed"),
        failed: queue.toKey("failed"),
      },
      args: { jobId: id },
    });
    if (answer === null) return null;
    const [state, ...fields] = answer;
    return viewOf(recordOf(id, fields), STATES.find((known) => known === state) ?? "unknown");
  };
  return {
    readOf,
    async read(id) {
      const found = await Promise.all(JOB_TYPES.map(async (type) => await readOf(type, id)));
      return found.find((view) => view !== null) ?? null;
    },
  };
}

const STATES = ["waiting", "active", "completed", "failed"] as const;

/** BullMQ's record of a job, from the texts that Redis keeps of it. */
export function recordOf(id: string, fields: readonly (string | null)[]): JobRecord {
  const [name, data, progress, returnvalue, failedReason, timestamp, processedOn, finishedOn] = fields;
  return {
    id,
    name: name ?? "",
    data: parseJson(data),
    progress: parseJson(progress),
    returnvalue: parseJson(returnvalue),
    failedReason: failedReason ?? undefined,
    timestamp: moment(timestamp) ?? 0,
    processedOn: moment(processedOn),
    finishedOn: moment(finishedOn),
  };
}

function moment(text: string | null | undefined): number | undefined {
  const ms = Math.trunc(Number(text ?? Number.NaN));
  return Number.isSafeInteger(ms) && ms >= 0 ? ms : undefined;
}
