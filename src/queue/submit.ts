import { createHash, randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { Redis } from "ioredis";
import { JOB_TYPES, type JobRequest, type JobType } from "../job/contract.ts";
import { MirumojiError } from "../job/errors.ts";
import type { Tracing } from "../telemetry/trace-contract.ts";
import type { JobIndex } from "./job-index.ts";
import type { Queues } from "./queues.ts";
import { redisClock } from "./redis-clock.ts";

const SAME_MOMENT_MS = 10_000;

/** Where a job is put. */
export interface SubmitParts {
  readonly redis: Redis;
  readonly prefix: string;
  readonly queues: Queues;
  readonly index: JobIndex;
  readonly tracing: Tracing;
}

/**
 * Puts a job into its queue. The same idempotency key gives the same job ID, and BullMQ adds no second job
 * of an ID that is there.
 *
 * @throws MirumojiError `IDEMPOTENCY_CONFLICT`
 */
export async function addJob(
  { redis, prefix, queues, index, tracing }: SubmitParts,
  { type, request }: JobRequest,
  { idempotencyKey, apiKey }: { readonly idempotencyKey?: string; readonly apiKey?: string },
): Promise<{ id: string; created: boolean }> {
  const id = idempotencyKey === undefined ? randomUUID() : keyedId(idempotencyKey);
  const isKnown = idempotencyKey !== undefined && (await refuseOtherRequest(queues, id, type, request));
  // Of those who submit at the same moment, one is told that the job is new.
  const isFirst =
    idempotencyKey === undefined ||
    (await redis.set(`${prefix}:submitting:${id}`, "1", "PX", SAME_MOMENT_MS, "NX")) === "OK";
  const clock = redisClock(redis);
  await clock.ready();
  const { timestamp } = await tracing.submit({ queue: type, jobId: id }, async (carrier) => {
    const telemetry = carrier === undefined ? {} : { telemetry: { metadata: carrier } };
    // BullMQ keeps options that it does not know; `finish-outbox.lua` reads this one.
    const submitter = apiKey === undefined ? {} : { apiKey };
    return await queues[type].add(type, request, {
      jobId: id,
      timestamp: clock.now(),
      ...telemetry,
      ...submitter,
    });
  });
  // Two submits at the same moment: only one of them added, and both look at what is there.
  if (idempotencyKey !== undefined) await refuseOtherRequest(queues, id, type, request);
  await index.add({ type, id, submittedAt: timestamp }, request);
  return { id, created: isFirst && !isKnown };
}

function keyedId(key: string): string {
  return `key-${createHash("sha256").update(key).digest("hex").slice(0, 32)}`;
}

/** Whether the job is there already. */
async function refuseOtherRequest(
  queues: Queues,
  jobId: string,
  type: JobType,
  request: JobRequest["request"],
): Promise<boolean> {
  let isThere = false;
  for (const other of JOB_TYPES) {
    const job = await queues[other].getJob(jobId);
    if (job === undefined) continue;
    // Data read from Redis went through JSON.
    if (other === type && isDeepStrictEqual(job.data, JSON.parse(JSON.stringify(request)))) {
      isThere = true;
      continue;
    }
    throw new MirumojiError(
      "IDEMPOTENCY_CONFLICT",
      `job ${jobId} has this idempotency key with another request; use a key of its own for every request`,
    );
  }
  return isThere;
}
