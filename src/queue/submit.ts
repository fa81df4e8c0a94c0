import { createHash, randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { JOB_TYPES, type JobRequest, type JobType } from "../job/contract.ts";
import { MirumojiError } from "../job/errors.ts";
import type { Tracing } from "../telemetry/trace-contract.ts";
import type { Queues } from "./queues.ts";

/**
 * Puts a job into its queue. The same idempotency key gives the same job ID, and BullMQ adds no second job
 * of an ID that is there.
 *
 * @throws MirumojiError `IDEMPOTENCY_CONFLICT`
 */
export async function addJob(
  queues: Queues,
  { type, request }: JobRequest,
  { idempotencyKey, tracing }: { idempotencyKey: string | undefined; tracing: Tracing },
): Promise<string> {
  const jobId = idempotencyKey === undefined ? randomUUID() : keyedId(idempotencyKey);
  if (idempotencyKey !== undefined) await refuseOtherRequest(queues, jobId, type, request);
  await tracing.submit({ queue: type, jobId }, async (carrier) => {
    const telemetry = carrier === undefined ? {} : { telemetry: { metadata: carrier } };
    await queues[type].add(type, request, { jobId, ...telemetry });
  });
  // Two submits at the same moment: only one of them added, and both look at what is there.
  if (idempotencyKey !== undefined) await refuseOtherRequest(queues, jobId, type, request);
  return jobId;
}

function keyedId(key: string): string {
  return `key-${createHash("sha256").update(key).digest("hex").slice(0, 32)}`;
}

async function refuseOtherRequest(
  queues: Queues,
  jobId: string,
  type: JobType,
  request: JobRequest["request"],
): Promise<void> {
  for (const other of JOB_TYPES) {
    const job = await queues[other].getJob(jobId);
    if (job === undefined) continue;
    // Data read from Redis went through JSON.
    if (other === type && isDeepStrictEqual(job.data, JSON.parse(JSON.stringify(request)))) continue;
    throw new MirumojiError(
      "IDEMPOTENCY_CONFLICT",
      `job ${jobId} has this idempotency key with another request; use a key of its own for every request`,
    );
  }
}
