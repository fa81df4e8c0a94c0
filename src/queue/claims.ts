import type { Redis } from "ioredis";
import { isJobType } from "../job/contract.ts";
import { isFinal } from "../job/summary.ts";
import type { JobReader } from "./job-reader.ts";
import { claimsKey } from "./keys.ts";

/** The ID of a job that is not over and has claimed one of these files, which are real places below the media root. */
export async function findClaim(
  redis: Redis,
  reader: JobReader,
  { prefix, places }: { readonly prefix: string; readonly places: readonly string[] },
): Promise<string | null> {
  if (places.length === 0) return null;
  for (const owner of await redis.hmget(claimsKey(prefix), ...places)) {
    const [, type = "", id = ""] = /^([^:]*):(.*)$/su.exec(owner ?? "") ?? [];
    const job = isJobType(type) ? await reader.readOf(type, id) : null;
    if (job !== null && !isFinal(job.status)) return id;
  }
  return null;
}
