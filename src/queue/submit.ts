import { createHash, randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { JOB_TYPES, type JobRequest, type JobType } from "../job/contract.ts";
import { MirumojiError } from "../job/errors.ts";
import { parseRequest } from "../job/parse-request.ts";
import type { Tracing } from "../telemetry/trace-contract.ts";
import { type JobView, summarySchema } from "../job/summary.ts";
import type { JobIndex } from "./job-index.ts";
import { parseJson, viewOf } from "./job-view.ts";
import { onceKey } from "./keys.ts";
import type { Queues } from "./queues.ts";
import { redisClock } from "./redis-clock.ts";
import { asTenantLimit } from "./tenants.ts";

/** As long as the longest that a job is kept: 30 days from the last submit with the key. */
const IDEMPOTENCY_MS = 30 * 24 * 3_600_000;

/** Where a job is put. */
export interface SubmitParts {
  readonly redis: Redis;
  readonly prefix: string;
  readonly queues: Queues;
  readonly index: JobIndex;
  readonly tracing: Tracing;
}

/** A submit: the request as it is meant, for checks, and as the caller gave it, which is all that is written. */
export interface Submit {
  readonly request: JobRequest;
  readonly given: object;
  readonly idempotencyKey?: string;
  /** ID of the API key that it came with. */
  readonly apiKey?: string;
}

/**
 * Puts a job into its queue. The same idempotency key gives the same job ID, for either type of job, also when the job
 * is gone already.
 *
 * @throws MirumojiError `IDEMPOTENCY_CONFLICT`, `TENANT_LIMIT`
 */
export async function addJob(
  { redis, prefix, queues, index, tracing }: SubmitParts,
  { request: wanted, given, idempotencyKey, apiKey }: Submit,
): Promise<{ id: string; created: boolean }> {
  const id = idempotencyKey === undefined ? randomUUID() : keyedId(idempotencyKey);
  const { type, request } = wanted;
  const once = idempotencyKey === undefined ? null : await openOnce({ redis, prefix, queues }, id, wanted);
  if (once?.isAdded === true) return { id, created: false };
  const clock = redisClock(redis);
  await clock.ready();
  const { timestamp } = await tracing.submit({ queue: type, jobId: id }, async (carrier) => {
    const telemetry = carrier === undefined ? {} : { telemetry: { metadata: carrier } };
    // BullMQ keeps options that it does not know; `finish-outbox.lua` reads this one.
    const submitter = apiKey === undefined ? {} : { apiKey };
    const now = clock.now();
    const delay = delayOf(request, now);
    const options = {
      jobId: id,
      timestamp: now,
      ...(delay > 0 ? { delay } : {}),
      ...telemetry,
      ...submitter,
    };
    return await queues[type].add(type, given, options).catch((error: unknown) => {
      throw asTenantLimit(error);
    });
  });
  await index.add({ type, id, submittedAt: timestamp }, request);
  if (once === null) return { id, created: true };
  await redis.hset(once.key, "addedAt", timestamp);
  return { id, created: once.isFirst };
}

/** Milliseconds until a job may begin. */
export function delayOf({ run_at, delay_seconds = 0 }: JobRequest["request"], now: number): number {
  const untilMoment = run_at === undefined ? 0 : Date.parse(run_at) - now;
  return Math.max(0, untilMoment, Math.round(delay_seconds * 1000));
}

function keyedId(key: string): string {
  return `key-${createHash("sha256").update(key).digest("hex").slice(0, 32)}`;
}

/**
 * Takes an idempotency key for a request. What it is taken for is kept apart from the job, and longer: of those who come
 * at the same moment with different requests, one has it.
 */
async function openOnce(
  { redis, prefix, queues }: Pick<SubmitParts, "redis" | "prefix" | "queues">,
  id: string,
  wanted: JobRequest,
): Promise<{ key: string; isFirst: boolean; isAdded: boolean }> {
  const key = onceKey(prefix, id);
  const mine = `${wanted.type}:${digestOf(wanted.request)}`;
  // Jobs of producers that keep no such record.
  const isThere = await isSameThere(queues, id, wanted);
  const answers = await redis
    .multi()
    .hsetnx(key, "request", mine)
    .pexpire(key, IDEMPOTENCY_MS)
    .hmget(key, "request", "addedAt")
    .exec();
  const [request, addedAt] = (answers?.[2]?.[1] ?? []) as (string | null)[];
  if (request !== mine) throw conflict(id);
  return {
    key,
    isFirst: answers?.[0]?.[1] === 1 && !isThere,
    isAdded: isThere || typeof addedAt === "string",
  };
}

/** The end of a job with an idempotency key whose own record is gone; null when that is not known either. */
export async function readEnded(redis: Redis, prefix: string, id: string): Promise<JobView | null> {
  const [request, addedAt, summary] = await redis.hmget(onceKey(prefix, id), "request", "addedAt", "summary");
  const type = JOB_TYPES.find((known) => request?.startsWith(`${known}:`) === true);
  const progress = parseJson(summary);
  if (type === undefined || progress === null) return null;
  const record = {
    id,
    name: type,
    data: null,
    progress,
    returnvalue: progress,
    timestamp: Number(addedAt) || 0,
  };
  const { data: ended } = summarySchema.safeParse(progress);
  return viewOf(record, ended?.status === "completed" ? "completed" : "failed");
}

/** Whether the job is there already. Throws when it is for another request. */
async function isSameThere(queues: Queues, jobId: string, wanted: JobRequest): Promise<boolean> {
  let isThere = false;
  for (const type of JOB_TYPES) {
    const job = await queues[type].getJob(jobId);
    if (job === undefined) continue;
    if (type !== wanted.type || digestOf(meant(type, job.data)) !== digestOf(wanted.request))
      throw conflict(jobId);
    isThere = true;
  }
  return isThere;
}

/** Request with its defaults: with them or without them it is the same one. */
function meant(type: JobType, data: unknown): unknown {
  try {
    return parseRequest(type, data).request;
  } catch {
    return data;
  }
}

function conflict(jobId: string): MirumojiError {
  return new MirumojiError(
    "IDEMPOTENCY_CONFLICT",
    `job ${jobId} has this idempotency key with another request; use a key of its own for every request`,
  );
}

/** Hash of a value, whatever the order of its fields. */
export function digestOf(value: unknown): string {
  return createHash("sha256")
    .update(JSON.stringify(sorted(value)) ?? "")
    .digest("hex");
}

/** The value with its fields in one order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([name, field]) => [name, sorted(field)] as const);
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
