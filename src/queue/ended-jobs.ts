import type { Redis } from "ioredis";
import { z } from "zod";
import { JOB_TYPES } from "../job/contract.ts";
import { readJson, type TellUnreadable } from "./unreadable.ts";

/** Kept for a pool that is down for long; what is older is not counted. */
const MOST = 10_000;

const entrySchema = z.object({ type: z.enum(JOB_TYPES), jobId: z.string() });

/** A job that was cancelled in its queue, before any worker had it. */
export type EndedJob = z.output<typeof entrySchema>;

const key = (prefix: string) => `${prefix}:ended`;

/**
 * Leaves word of a job that ended without a worker: who cancels is mostly a short command or a backend, whose
 * figures nobody ever asks for.
 */
export async function tellEnded(redis: Redis, prefix: string, ended: EndedJob): Promise<void> {
  await redis.multi().rpush(key(prefix), JSON.stringify(ended)).ltrim(key(prefix), -MOST, -1).exec();
}

/** Takes what is there; each job is given to one caller only. */
export async function takeEnded(
  redis: Redis,
  prefix: string,
  onUnreadable: TellUnreadable,
): Promise<EndedJob[]> {
  const found: EndedJob[] = [];
  for (let text = await redis.lpop(key(prefix)); text !== null; text = await redis.lpop(key(prefix))) {
    const entry = entrySchema.safeParse(readJson(text));
    if (entry.success) found.push(entry.data);
    else onUnreadable("ended", "");
  }
  return found;
}
