import type { Environment } from "../config/schema.ts";
import { closeRedis, type connectLastingRedis, type RedisConnection } from "../queue/connection.ts";
import { type Ledger, openLedger } from "../queue/ledger.ts";
import { openPoolPause, type PoolPause } from "../queue/pool-pause.ts";
import { closeQueues, openQueues, type Queues } from "../queue/queues.ts";
import type { Logger } from "../telemetry/logger.ts";

/** The queues and the ledger in Redis. */
export interface WorkerStore {
  readonly redis: RedisConnection;
  readonly prefix: string;
  readonly queues: Queues;
  readonly ledger: Ledger;
  readonly pause: PoolPause;
  readonly leaseMs: number;
  close(): Promise<void>;
}

/** @throws MirumojiError `REDIS_UNAVAILABLE` */
export async function openStore(
  environment: Environment,
  logger: Logger,
  connect: typeof connectLastingRedis,
): Promise<WorkerStore> {
  const redis = await connect(environment, (error) => logger.warn({ err: error }, "Redis connection"));
  const prefix = environment.MIRUMOJI_QUEUE_PREFIX;
  const queues = openQueues(redis, prefix);
  return {
    redis,
    prefix,
    queues,
    ledger: openLedger(redis, queues, prefix),
    pause: openPoolPause(redis, prefix),
    leaseMs: environment.MIRUMOJI_LEASE * 1000,
    async close() {
      await closeQueues(queues);
      closeRedis(redis);
    },
  };
}
