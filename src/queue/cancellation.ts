import { isJobType } from "../job/contract.ts";
import { randomUUID } from "node:crypto";
import { type Queue, UnrecoverableError } from "bullmq";
import type { Redis } from "ioredis";
import { tellEnded } from "./ended-jobs.ts";
import { jobKeys } from "./keys.ts";
import { runScript, type ScriptAnswers } from "./scripts.ts";

/** Long enough to tell BullMQ; should we die in between, the job comes back flagged. */
const TAKE_MS = 15_000;

const CANCELLED_MESSAGE = "cancelled on request";

/** The channel on which workers hear of cancels at once; the flag in Redis is what counts. */
export function cancelChannel(prefix: string): string {
  return `${prefix}:cancel`;
}

/** Message on that channel. */
function cancelMessage(queue: string, jobId: string): string {
  return JSON.stringify([queue, jobId]);
}

/** Asks for a job of one queue to stop; see `Jobs.cancel`. */
export async function requestCancel(
  redis: Redis,
  queue: Queue,
  options: { prefix: string; jobId: string },
): Promise<ScriptAnswers["cancel"]> {
  const { prefix, jobId } = options;
  const keys = jobKeys(prefix, queue.name, jobId);
  const token = `cancel-${randomUUID()}`;
  const answer = await runScript(redis, "cancel", {
    keys: {
      ...keys,
      wait: queue.toKey("wait"),
      delayed: queue.toKey("delayed"),
      prioritized: queue.toKey("prioritized"),
      active: queue.toKey("active"),
      completed: queue.toKey("completed"),
      failed: queue.toKey("failed"),
    },
    args: { prefix, queue: queue.name, jobId, token, leaseMs: String(TAKE_MS) },
  });
  if (answer === "taken") {
    const job = await queue.getJob(jobId);
    await job?.moveToFailed(new UnrecoverableError(`CANCELLED: ${CANCELLED_MESSAGE}`), token, false);
    await redis.hdel(keys.job, "cancelRequestedAt");
    if (isJobType(queue.name)) await tellEnded(redis, prefix, { type: queue.name, jobId });
  }
  if (answer === "held") await bringForward(queue, jobId);
  if (answer === "held" || answer === "active") {
    await redis.publish(cancelChannel(prefix), cancelMessage(queue.name, jobId));
  }
  return answer;
}

/** A job that waits with a checkpoint has something to undo: the next free worker should do it. */
export async function bringForward(queue: Queue, jobId: string): Promise<void> {
  const job = await queue.getJob(jobId);
  if (job === undefined) return;
  // Another worker may have taken it in the meantime; it sees the flag.
  if (await job.isDelayed()) await job.promote().catch(() => undefined);
  await job.changePriority({ lifo: true }).catch(() => undefined);
}

/** Those of these active jobs whose cancel is requested. */
export async function cancelRequested(
  redis: Redis,
  options: { prefix: string; queue: string; jobIds: readonly string[] },
): Promise<string[]> {
  const flags = await Promise.all(
    options.jobIds.map(async (jobId) => {
      const { job } = jobKeys(options.prefix, options.queue, jobId);
      return (await redis.hexists(job, "cancelRequestedAt")) === 1;
    }),
  );
  return options.jobIds.filter((_id, index) => flags[index] === true);
}
