import { redisClock } from "../queue/redis-clock.ts";
import type { Environment } from "../config/schema.ts";
import { closeRedis, type connectLastingRedis, type RedisConnection } from "../queue/connection.ts";
import { type Ledger, openLedger } from "../queue/ledger.ts";
import { openPoolPause, type PoolPause } from "../queue/pool-pause.ts";
import { closeQueues, openQueues, type Queues } from "../queue/queues.ts";
import type { TellUnreadable } from "../queue/unreadable.ts";
import { rarely } from "../telemetry/rarely.ts";
import type { WorkerTelemetry } from "./worker-telemetry.ts";

/** An unreadable record in Redis is told of this often. */
const UNREADABLE_EVERY_MS = 600_000;

/** The queues and the ledger in Redis. */
export interface WorkerStore {
  readonly redis: RedisConnection;
  readonly prefix: string;
  readonly queues: Queues;
  readonly ledger: Ledger;
  readonly pause: PoolPause;
  readonly leaseMs: number;
  /** Counts records that cannot be read, and says so. */
  readonly onUnreadable: TellUnreadable;
  /** Epoch milliseconds by Redis' clock. */
  readonly now: () => number;
  close(): Promise<void>;
}

/** @throws MirumojiError `REDIS_UNAVAILABLE` */
export async function openStore(
  environment: Environment,
  { logger, metrics, warn }: WorkerTelemetry,
  connect: typeof connectLastingRedis,
): Promise<WorkerStore> {
  const redis = await connect(environment, (error) => warn(error, "Redis connection"));
  const prefix = environment.MIRUMOJI_QUEUE_PREFIX;
  const queues = openQueues(redis, prefix);
  const say = rarely(
    (record, times) =>
      logger.error(
        { record, times },
        `cannot be read, and is kept, or repaired where that can be done: ${record}`,
      ),
    { everyMs: UNREADABLE_EVERY_MS, now: Date.now },
  );
  const onUnreadable: TellUnreadable = (record, name) => {
    metrics.observeUnreadable(record);
    say(name === "" ? record : `${record} ${name}`);
  };
  const clock = redisClock(redis);
  await clock.ready();
  return {
    redis,
    prefix,
    queues,
    ledger: openLedger(redis, queues, prefix, onUnreadable),
    onUnreadable,
    pause: openPoolPause(redis, prefix),
    leaseMs: environment.MIRUMOJI_LEASE * 1000,
    now: () => clock.now(),
    async close() {
      await closeQueues(queues);
      closeRedis(redis);
    },
  };
}
