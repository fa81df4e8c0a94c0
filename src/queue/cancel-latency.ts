import type { Redis } from "ioredis";
import type { JobType } from "../job/contract.ts";
import type { JobEventName, JobEvents } from "../job/events.ts";
import { jobKeys } from "./keys.ts";

/**
 * Subscribes to the job events: tells how long after the request a running job was cancelled. The time of
 * the request is only known to Redis, and read when the job is over.
 */
export function cancelLatency(
  redis: Redis,
  prefix: string,
  tools: {
    now: () => number;
    observe: (type: JobType, ms: number) => void;
    onError: (error: unknown) => void;
  },
): <N extends JobEventName>(name: N, event: JobEvents[N]) => void {
  return (name, event) => {
    if (name !== "job.finished" || !("status" in event) || event.status !== "cancelled") return;
    const { type, jobId } = event;
    if (type === "unknown") return;
    const endedAt = tools.now();
    const observe = async () => {
      const askedAt = Number(await redis.hget(jobKeys(prefix, type, jobId).job, "cancelRequestedAt"));
      if (askedAt > 0) tools.observe(type, endedAt - askedAt);
    };
    observe().catch(tools.onError);
  };
}
