import { Queue } from "bullmq";
import type { Redis } from "ioredis";
import { JOB_TYPES, type JobType } from "../job/contract.ts";
import { soundBackend } from "./sound-backend.ts";
import { keepPoolTime } from "./pool-time.ts";
import { redisClock } from "./redis-clock.ts";

const DAY_SECONDS = 24 * 3600;
const MOST_KEPT = 1_000_000;
/**
 * How long finished jobs can be looked at. Workers use it too, for jobs whose producer said nothing about it. The age
 * decides; the count only keeps a producer gone wild from filling Redis.
 */
export const RETENTION = {
  removeOnComplete: { age: 7 * DAY_SECONDS, count: MOST_KEPT },
  removeOnFail: { age: 30 * DAY_SECONDS, count: MOST_KEPT },
} as const;

export type Queues = Record<JobType, Queue>;

/** The queue of each job type, on one connection. */
export function openQueues(redis: Redis, prefix: string): Queues {
  const open = (type: JobType) =>
    new Queue(
      type,
      {
        connection: redis,
        prefix,
        defaultJobOptions: {
          // The machine counts attempts per state; BullMQ must not add its own.
          attempts: 1,
          ...RETENTION,
        },
      },
      soundBackend(redis, () => undefined),
    );
  const queues = { transcribe: open("transcribe"), convert: open("convert") };
  // Connection errors are reported where commands fail; without a listener they would end the process.
  const clock = redisClock(redis);
  for (const type of JOB_TYPES) {
    queues[type].on("error", () => undefined);
    keepPoolTime(queues[type].getBackend(), () => clock.now());
  }
  return queues;
}

/** Closes both; the connection stays open, its opener closes it. */
export async function closeQueues(queues: Queues): Promise<void> {
  await Promise.all(JOB_TYPES.map(async (type) => await queues[type].close()));
}
