import { createHash, randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { batchStatus, type BatchSubmit, type BatchView } from "../job/batch.ts";
import { JOB_TYPES, type JobRequest, type JobType } from "../job/contract.ts";
import { MirumojiError, toMirumojiError } from "../job/errors.ts";
import { parseRequest } from "../job/parse-request.ts";
import { planOutputs } from "../job/paths.ts";
import type { Jobs } from "../client/contract.ts";
import type { JobIndex } from "./job-index.ts";
import { parseJson } from "./job-view.ts";
import { batchKeys } from "./keys.ts";
import type { Queues } from "./queues.ts";
import { redisClock } from "./redis-clock.ts";
import { delayOf, digestOf } from "./submit.ts";
import { takeRoom } from "./tenants.ts";

/** As long as the longest that a job is kept. */
const KEPT_MS = 30 * 24 * 3_600_000;
const ADDED_AT_ONCE = 250;
const AT_ONCE = 50;

export interface BatchExtra {
  readonly idempotencyKey?: string;
  /** ID of the API key that it came with, and the only tenant that the key may use. */
  readonly apiKey?: string;
  readonly tenant?: string;
}

/** Batches: many jobs that are accepted together, and have one end. */
export interface Batches {
  /**
   * Accepts all jobs, or none. The same key with the same items gives the same batch, so that a submit may be repeated
   * after any failure. Once it is accepted its jobs come into their queues, also when the submitter dies.
   *
   * @throws MirumojiError the codes of `parseRequest`, with the number of the item; `IDEMPOTENCY_CONFLICT`,
   * `TENANT_LIMIT`
   */
  submit(batch: BatchSubmit, extra?: BatchExtra): Promise<{ id: string; created: boolean }>;
  /** @throws MirumojiError `BATCH_NOT_FOUND` */
  get(id: string): Promise<BatchView>;
  /** Cancels what is not over; gives how many jobs that were. @throws MirumojiError `BATCH_NOT_FOUND` */
  cancel(id: string): Promise<number>;
  /** Retries what failed or was cancelled; gives how many jobs that were. @throws MirumojiError `BATCH_NOT_FOUND` */
  retry(id: string): Promise<number>;
}

interface BatchParts {
  readonly redis: Redis;
  readonly prefix: string;
  readonly queues: Queues;
  readonly index: JobIndex;
}

export function openBatches(parts: BatchParts, jobs: Pick<Jobs, "cancel" | "retry">): Batches {
  const { redis, prefix } = parts;
  const keys = batchKeys(prefix);
  const read = async (id: string) => {
    const [record, ends] = await Promise.all([redis.hgetall(keys.batch(id)), redis.hgetall(keys.ends(id))]);
    if (record["total"] === undefined) {
      throw new MirumojiError("BATCH_NOT_FOUND", `there is no batch ${JSON.stringify(id)}`);
    }
    return { record, total: Number(record["total"]), ends };
  };
  /** Does something with many jobs, some of which may have changed in the meantime. */
  const forEach = async (ids: readonly string[], act: (id: string) => Promise<boolean>) => {
    let done = 0;
    for (let at = 0; at < ids.length; at += AT_ONCE) {
      const answers = await Promise.all(ids.slice(at, at + AT_ONCE).map(act));
      done += answers.filter(Boolean).length;
    }
    return done;
  };
  return {
    async submit({ items, webhook }, { idempotencyKey, apiKey, tenant } = {}) {
      const checked = items.map(({ type, request }, at) => checkItem(type, request, { at, tenant }));
      const id = `batch-${idempotencyKey === undefined ? randomUUID() : hashOf(idempotencyKey)}`;
      const key = keys.batch(id);
      const mine = digestOf(checked.map(({ wanted }) => wanted));
      await redis.multi().hsetnx(key, "digest", mine).pexpire(key, KEPT_MS).exec();
      const [digest, total] = await redis.hmget(key, "digest", "total");
      if (digest !== mine) {
        throw new MirumojiError(
          "IDEMPOTENCY_CONFLICT",
          `batch ${id} has this idempotency key with other items`,
        );
      }
      if (total === null) {
        await takeRoom(
          redis,
          prefix,
          checked.map(({ wanted }) => wanted.request.tenant ?? ""),
        );
        const clock = redisClock(redis);
        await clock.ready();
        const writes = redis.multi();
        writes.del(keys.items(id));
        for (let at = 0; at < checked.length; at += ADDED_AT_ONCE) {
          const chunk = checked.slice(at, at + ADDED_AT_ONCE);
          writes.rpush(
            keys.items(id),
            ...chunk.map(({ wanted, given }) => JSON.stringify([wanted.type, given])),
          );
        }
        writes.hset(key, {
          total: checked.length,
          submittedAt: clock.now(),
          ...(webhook === undefined ? {} : { url: webhook.url }),
          ...(apiKey === undefined ? {} : { apiKey }),
          ...(tenant === undefined ? {} : { tenant }),
        });
        await writes.pexpire(keys.items(id), KEPT_MS).sadd(keys.open, id).exec();
      }
      await addItems(parts, id);
      return { id, created: total === null };
    },
    async get(id) {
      const { record, total, ends } = await read(id);
      const count = (status: string) => Object.values(ends).filter((end) => end === status).length;
      const counts = {
        total,
        completed: count("completed"),
        failed: count("failed"),
        cancelled: count("cancelled"),
      };
      return {
        id,
        tenant: record["tenant"] ?? null,
        status: batchStatus(counts),
        ...counts,
        submittedAt: Number(record["submittedAt"]),
        endedAt: record["endedAt"] === undefined ? null : Number(record["endedAt"]),
      };
    },
    async cancel(id) {
      const { total, ends } = await read(id);
      await addItems(parts, id);
      const all = Array.from({ length: total }, (_, n) => `${id}-${n}`);
      return await forEach(
        all.filter((job) => ends[job] === undefined),
        async (job) => await jobs.cancel(job).then(({ accepted }) => accepted, ifGone),
      );
    },
    async retry(id) {
      const { ends } = await read(id);
      const ended = Object.keys(ends).filter((job) => ends[job] !== "completed");
      return await forEach(ended.toSorted(byNumber), async (job) => {
        return await jobs.retry(job).then(() => true, ifGone);
      });
    },
  };
}

/** Goes on with batches that were accepted and whose submitter died before all their jobs were in their queues. */
export async function resumeBatches(parts: BatchParts): Promise<void> {
  for (const id of await parts.redis.smembers(batchKeys(parts.prefix).open)) await addItems(parts, id);
}

/** Puts the jobs of a batch into their queues. Any number of processes may do so: each job has an ID of its own. */
async function addItems({ redis, prefix, queues, index }: BatchParts, id: string): Promise<void> {
  const keys = batchKeys(prefix);
  const clock = redisClock(redis);
  await clock.ready();
  const [apiKey, added] = await redis.hmget(keys.batch(id), "apiKey", "added");
  for (let at = Number(added ?? 0); ; at += ADDED_AT_ONCE) {
    const texts = await redis.lrange(keys.items(id), at, at + ADDED_AT_ONCE - 1);
    if (texts.length === 0) break;
    const timestamp = clock.now();
    const items = texts.map((text, n) => {
      const [type, given] = parseJson(text) as [JobType, JobRequest["request"]];
      const delay = delayOf(given, timestamp);
      const opts = { jobId: `${id}-${at + n}`, timestamp, batch: id, ...(delay > 0 ? { delay } : {}) };
      return { type, given, opts: { ...opts, ...(apiKey === null ? {} : { apiKey }) } };
    });
    for (const type of JOB_TYPES) {
      const ofType = items.filter((item) => item.type === type);
      await queues[type].addBulk(ofType.map(({ given, opts }) => ({ name: type, data: given, opts })));
    }
    await Promise.all(
      items.map(async ({ type, given, opts }) => {
        await index.add({ type, id: opts.jobId, submittedAt: timestamp }, given);
      }),
    );
    await redis.hset(keys.batch(id), "added", at + texts.length);
  }
  await redis.multi().srem(keys.open, id).del(keys.items(id)).exec();
}

/** @throws MirumojiError the codes of `parseRequest`, and `SCOPE_MISSING` for another tenant's job */
function checkItem(
  type: JobType,
  request: object,
  { at, tenant }: { readonly at: number; readonly tenant: string | undefined },
): { readonly wanted: JobRequest; readonly given: object } {
  const given = { v: 1, ...request, ...(tenant === undefined ? {} : { tenant }) };
  try {
    const named: unknown = Reflect.get(request, "tenant");
    if (tenant !== undefined && named !== undefined && named !== tenant) {
      throw new MirumojiError("SCOPE_MISSING", `this API key makes jobs of the tenant ${tenant} only`);
    }
    const wanted = parseRequest(type, given);
    planOutputs(wanted);
    return { wanted, given };
  } catch (error) {
    const { code, message } = toMirumojiError(error);
    throw new MirumojiError(code, `item ${at}: ${message}; nothing was accepted`, { cause: error });
  }
}

/** False for a job that was removed, or changed, while many were looked at. */
function ifGone(error: unknown): false {
  const { code } = toMirumojiError(error);
  if (code === "JOB_NOT_FOUND" || code === "JOB_NOT_RETRYABLE") return false;
  throw error;
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}

function byNumber(a: string, b: string): number {
  return Number(a.slice(a.lastIndexOf("-") + 1)) - Number(b.slice(b.lastIndexOf("-") + 1));
}
