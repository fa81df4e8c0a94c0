import type { Redis } from "ioredis";
import { jobKeys } from "./keys.ts";

/**
 * A job whose data is not JSON (some other program wrote it by hand) can never reach the processor:
 * BullMQ fails to read it, its lease runs out, and that for ever. Its data is made a JSON string, so that
 * the job can be taken, refused with its code, and end.
 */
export async function repairData(redis: Redis, prefix: string, queue: string, jobId: string): Promise<void> {
  const { job } = jobKeys(prefix, queue, jobId);
  const data = await redis.hget(job, "data");
  if (data === null || isJson(data)) return;
  await redis.hset(job, "data", JSON.stringify(data.slice(0, 1000)));
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
