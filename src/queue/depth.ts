import type { Redis } from "ioredis";
import { JOB_TYPES } from "../job/contract.ts";
import { MirumojiError } from "../job/errors.ts";
import type { PoolState, QueueState } from "../telemetry/metrics/collectors.ts";
import type { Ledger } from "./ledger.ts";
import type { PoolPause } from "./pool-pause.ts";
import { openOutbox } from "./outbox.ts";
import type { Queues } from "./queues.ts";
import { readTenantLoad } from "./tenants.ts";

const COUNTED = ["active", "waiting", "delayed", "prioritized", "completed", "failed"] as const;

/** Every other tenant is counted with the rest: a label of a metric is not for many values. */
const SHOWN_TENANTS = 10;

/**
 * Reads the figures of the whole pool. Fails at once without a connection: commands would wait for one, and each
 * scrape would add more of them.
 *
 * @throws MirumojiError `REDIS_UNAVAILABLE`
 */
export async function readPoolState(
  {
    redis,
    prefix,
    queues,
    ledger,
    pause,
  }: {
    readonly redis: Redis;
    readonly prefix: string;
    readonly queues: Queues;
    readonly ledger: Ledger;
    readonly pause: PoolPause;
  },
  now: number,
): Promise<PoolState> {
  if (redis.status !== "ready") throw new MirumojiError("REDIS_UNAVAILABLE", `Redis is ${redis.status}`);
  const [states, { volumes, unreadable }, memory, paused, webhooks, load] = await Promise.all([
    Promise.all(JOB_TYPES.map(async (type) => await readQueue(redis, queues[type], now))),
    ledger.read(),
    redis.info("memory"),
    pause.read(),
    openOutbox(redis, prefix).figures(),
    readTenantLoad(redis, prefix, SHOWN_TENANTS),
  ]);
  const oldest = Math.min(now, ...volumes.map(({ createdAt }) => createdAt));
  return {
    queues: states,
    pausedFor: paused?.code ?? null,
    tenants: [
      ...load.top.map(({ tenant, ...counts }) => ({ tenant: tenant === "" ? "none" : tenant, ...counts })),
      { tenant: "other", ...load.others },
    ],
    liveVolumes: volumes.length + unreadable.length,
    unreadableVolumes: unreadable.length,
    oldestVolumeSeconds: (now - oldest) / 1000,
    webhooksPending: webhooks.pending,
    webhooksDead: webhooks.dead,
    oldestWebhookSeconds: webhooks.oldestAt === null ? 0 : Math.max(0, now - webhooks.oldestAt) / 1000,
    redisUsedBytes: field(memory, "used_memory"),
    redisLimitBytes: field(memory, "maxmemory"),
  };
}

async function readQueue(redis: Redis, queue: Queues["transcribe"], now: number): Promise<QueueState> {
  const [jobs, isPaused, workers, oldestWaitingSeconds] = await Promise.all([
    queue.getJobCounts(...COUNTED),
    queue.isPaused(),
    queue.getWorkersCount(),
    oldestWaiting(redis, queue, now),
  ]);
  return { queue: queue.name, jobs, isPaused, workers, oldestWaitingSeconds };
}

/** The head of the line; only its time is read, because what others put into a job may not even be JSON. */
async function oldestWaiting(redis: Redis, queue: Queues["transcribe"], now: number): Promise<number> {
  const [first, [prioritized]] = await Promise.all([
    redis.lindex(queue.toKey("wait"), -1),
    redis.zrange(queue.toKey("prioritized"), "0", "0"),
  ]);
  const ids = [first, prioritized].filter((id) => typeof id === "string");
  const times = await Promise.all(
    ids.map(async (id) => Number(await redis.hget(queue.toKey(id), "timestamp"))),
  );
  return (now - Math.min(now, ...times.filter((time) => time > 0))) / 1000;
}

function field(info: string, name: string): number {
  return Number(new RegExp(`^${name}:(\\d+)`, "mu").exec(info)?.[1] ?? 0);
}
