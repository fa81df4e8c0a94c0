import { Redis } from "ioredis";
import { JOB_TYPES } from "../../../src/job/contract.ts";

/** Keys that BullMQ keeps for a queue with no waiting and no running job. */
const QUEUE_KEYS = ["meta", "id", "events", "completed", "failed", "marker"];
/** Keys of the pool. */
const POOL_KEYS = [
  "app",
  "platform",
  "primary",
  "segments",
  "segments:sizes",
  "spend",
  "spent",
  "turns:number",
  "webhooks:secrets",
];
/** Where turns stand, by queue. */
const TURN_KEYS = ["clock", "idle"];
/** Index of all jobs by time of submit. */
const INDEX_KEY = "jobs";
/** Keys allowed for a while; each must have a time to live. */
const FLEETING =
  /:(pause|app:lock|app:[\w-]+:members|leader:\w+|stalled-check|limiter|probe|confirmed|platform:workers)$/u;

/** Lists every key that should be gone once all jobs are over. */
export async function foreignKeys(
  url: string,
  prefix: string,
  jobs: readonly { id: string; type: string }[],
): Promise<string[]> {
  const known = new Set([
    ...POOL_KEYS.map((name) => `${prefix}:${name}`),
    ...JOB_TYPES.flatMap((type) => QUEUE_KEYS.map((name) => `${prefix}:${type}:${name}`)),
    ...JOB_TYPES.flatMap((type) => TURN_KEYS.map((name) => `${prefix}:turns:${type}:${name}`)),
    ...jobs.flatMap(({ id, type }) =>
      ["", ":logs", ":segments"].map((part) => `${prefix}:${type}:${id}${part}`),
    ),
  ]);
  return await withRedis(url, async (redis) => {
    const problems: string[] = [];
    for (const key of await redis.keys(`${prefix}:*`)) {
      if (known.has(key)) continue;
      if (FLEETING.test(key) && (await redis.pttl(key)) !== -1) continue;
      if (key === `${prefix}:${INDEX_KEY}`) {
        const indexed = await redis.zrange(key, "0", "-1");
        const strangers = indexed.filter(
          (member) => !jobs.some(({ id, type }) => member === `${type}:${id}`),
        );
        problems.push(...strangers.map((member) => `index of ${member}`));
        continue;
      }
      const fields = (await redis.type(key)) === "hash" ? JSON.stringify(await redis.hgetall(key)) : "";
      problems.push(`key ${key} ${fields}`.trimEnd());
    }
    return problems;
  });
}

/** Ends announced by BullMQ, in order. */
export async function terminalEvents(
  url: string,
  prefix: string,
): Promise<{ event: string; jobId: string }[]> {
  return await withRedis(url, async (redis) => {
    const streams = await Promise.all(
      JOB_TYPES.map(async (type) => await redis.xrange(`${prefix}:${type}:events`, "-", "+")),
    );
    return streams.flat().flatMap(([, fields]) => {
      const { event = "", jobId = "" } = Object.fromEntries(
        fields.flatMap((name, index) => (index % 2 === 0 ? [[name, fields[index + 1] ?? ""]] : [])),
      ) as Record<string, string>;
      return event === "completed" || event === "failed" ? [{ event, jobId }] : [];
    });
  });
}

async function withRedis<T>(url: string, action: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url);
  try {
    return await action(redis);
  } finally {
    redis.disconnect();
  }
}
