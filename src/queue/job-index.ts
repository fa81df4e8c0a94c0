import type { Redis } from "ioredis";
import { JOB_TYPES, type JobType } from "../job/contract.ts";
import { labelsOf, parseJson } from "./job-view.ts";
import { indexKeys, jobKeys } from "./keys.ts";
import type { Queues } from "./queues.ts";

/** A job as the index knows it. */
export interface IndexedJob {
  readonly type: JobType;
  readonly id: string;
  /** Epoch milliseconds. */
  readonly submittedAt: number;
}

interface Labels {
  readonly tenant?: string | null | undefined;
  readonly tags?: readonly string[] | undefined;
}

/** The jobs of one label, or all of them. */
export type IndexName = { readonly tenant: string } | { readonly tag: string } | "all";

/**
 * Which jobs there are, by the time of their submit: BullMQ keeps them by state only. Entries of jobs that are gone
 * are removed by whoever meets them.
 */
export interface JobIndex {
  add(job: IndexedJob, labels: Labels): Promise<void>;
  /** Newest first, from a place on; `after` is the last one that was seen, and need not be there any more. */
  read(
    name: IndexName,
    range: { after: IndexedJob | null; before: number | null; count: number },
  ): Promise<IndexedJob[]>;
  /** Takes up jobs that other programs queued, if it does not know them yet. */
  takeUp(type: JobType, ids: readonly string[]): Promise<void>;
  /** The same for the newest of every list and set of BullMQ, `depth` of each. */
  takeUpNewest(depth: number): Promise<void>;
  remove(name: IndexName, jobs: readonly IndexedJob[]): Promise<void>;
  /** Removes a job everywhere. */
  forget(job: Pick<IndexedJob, "type" | "id">, labels: Labels): Promise<void>;
  /** Removes what is gone among the entries that are older than `before`; gives how many were removed. */
  prune(before: number): Promise<number>;
}

const CHUNK = 500;
const LISTS = ["wait", "active"] as const;
const SETS = ["delayed", "prioritized", "completed", "failed"] as const;

export function createJobIndex(redis: Redis, queues: Queues, prefix: string): JobIndex {
  const keys = indexKeys(prefix);
  const keyOf = (name: IndexName) => {
    if (name === "all") return keys.all;
    return "tag" in name ? keys.tag(name.tag) : keys.tenant(name.tenant);
  };
  const labelKeys = ({ tenant, tags = [] }: Labels) => {
    const ofTags = tags.map((tag) => keys.tag(tag));
    return typeof tenant === "string" ? [...ofTags, keys.tenant(tenant)] : ofTags;
  };
  const add: JobIndex["add"] = async (job, labels) => {
    const names = labelKeys(labels);
    const writes = redis.pipeline();
    for (const key of [keys.all, ...names]) writes.zadd(key, "NX", String(job.submittedAt), memberOf(job));
    if (names.length > 0) writes.sadd(keys.labels, ...names);
    await writes.exec();
  };
  const takeUp: JobIndex["takeUp"] = async (type, ids) => {
    if (ids.length === 0) return;
    const known = await redis.zmscore(keys.all, ...ids.map((id) => `${type}:${id}`));
    const missing = ids.filter((_id, index) => known[index] === null);
    const reads = redis.pipeline();
    for (const id of missing) reads.hmget(jobKeys(prefix, type, id).job, "timestamp", "data");
    const found = (await reads.exec()) ?? [];
    await Promise.all(
      missing.map(async (id, index) => {
        const [timestamp, data] = (found[index]?.[1] ?? []) as (string | null)[];
        const submittedAt = Number(timestamp ?? Number.NaN);
        // Gone in the meantime, or something else of BullMQ's, such as the marker of a paused list.
        if (!Number.isFinite(submittedAt)) return;
        await add({ type, id, submittedAt }, labelsOf(parseJson(data)));
      }),
    );
  };
  return {
    add,
    async read(name, { after, before, count }) {
      const key = keyOf(name);
      let start = 0;
      if (after !== null) {
        const rank = await redis.zrevrank(key, memberOf(after));
        start = rank === null ? await redis.zcount(key, `(${after.submittedAt}`, "+inf") : rank + 1;
      } else if (before !== null) {
        start = await redis.zcount(key, before, "+inf");
      }
      for (; ; start += count) {
        const flat = await redis.zrevrange(key, start, start + count - 1, "WITHSCORES");
        const jobs = pairs(flat).flatMap(([member, score]) => jobOf(member, Number(score)) ?? []);
        // Without its own entry the place is only known to the millisecond.
        const following = after === null ? jobs : jobs.filter((job) => isAfter(job, after));
        if (following.length > 0 || flat.length === 0) return following;
      }
    },
    takeUp,
    async takeUpNewest(depth) {
      for (const type of JOB_TYPES) {
        const queue = queues[type];
        for (const name of [...LISTS, ...SETS]) {
          for (let start = 0; start < depth; start += CHUNK) {
            const stop = Math.min(start + CHUNK, depth) - 1;
            const ids = LISTS.some((list) => list === name)
              ? await redis.lrange(queue.toKey(name), start, stop)
              : await redis.zrevrange(queue.toKey(name), start, stop);
            await takeUp(type, ids);
            if (ids.length < CHUNK) break;
          }
        }
      }
    },
    async remove(name, jobs) {
      if (jobs.length > 0) await redis.zrem(keyOf(name), ...jobs.map(memberOf));
    },
    async forget(job, labels) {
      const writes = redis.pipeline();
      for (const key of [keys.all, ...labelKeys(labels)]) writes.zrem(key, memberOf(job));
      await writes.exec();
    },
    async prune(before) {
      let removed = 0;
      for (const key of [keys.all, ...(await redis.smembers(keys.labels))]) {
        for (let start = 0; ;) {
          const flat = await redis.zrange(key, String(start), String(start + CHUNK - 1), "WITHSCORES");
          const jobs = pairs(flat).flatMap(([member, score]) => jobOf(member, Number(score)) ?? []);
          const old = jobs.filter(({ submittedAt }) => submittedAt < before);
          const checks = redis.pipeline();
          for (const { type, id } of old) checks.exists(jobKeys(prefix, type, id).job);
          const there = (await checks.exec()) ?? [];
          const gone = old.filter((_job, index) => there[index]?.[1] === 0);
          if (gone.length > 0) await redis.zrem(key, ...gone.map(memberOf));
          removed += gone.length;
          if (old.length < CHUNK) break;
          start += old.length - gone.length;
        }
      }
      return removed;
    },
  };
}

function memberOf({ type, id }: Pick<IndexedJob, "type" | "id">): string {
  return `${type}:${id}`;
}

function jobOf(member: string, submittedAt: number): IndexedJob | null {
  const type = JOB_TYPES.find((known) => member.startsWith(`${known}:`));
  return type === undefined ? null : { type, id: member.slice(type.length + 1), submittedAt };
}

/** Whether `job` comes behind `place` in the order of the index: newest first, then by name downwards. */
function isAfter(job: IndexedJob, place: IndexedJob): boolean {
  if (job.submittedAt !== place.submittedAt) return job.submittedAt < place.submittedAt;
  return Buffer.compare(Buffer.from(memberOf(job)), Buffer.from(memberOf(place))) < 0;
}

function pairs(flat: readonly string[]): [string, string][] {
  return Array.from({ length: flat.length / 2 }, (_, n) => [flat[2 * n] ?? "", flat[2 * n + 1] ?? ""]);
}
