import type { Redis } from "ioredis";
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import type { KeptTranscripts } from "../ports/transcripts.ts";
import { transcriptKeys } from "./keys.ts";
import { runScript } from "./scripts.ts";

const [compress, expand] = [promisify(gzip), promisify(gunzip)];

/** How long texts are kept, and how many bytes of Redis they may have in all. */
export interface KeepLimits {
  /** 0 keeps none. */
  readonly ttlMs: number;
  readonly limitBytes: number;
}

/** Kept in Redis, compressed: an hour of speech with its words has some 60 kB there. `limits` are for `put`. */
export function keptTranscripts(redis: Redis, prefix: string, limits: KeepLimits | null): KeptTranscripts {
  const keys = transcriptKeys(prefix);
  return {
    async put(jobId, text) {
      if (limits === null || limits.ttlMs === 0) return;
      const packed = (await compress(text)).toString("base64");
      await runScript(redis, "keep-transcript", {
        keys: { order: keys.order, sizes: keys.sizes },
        args: {
          jobId,
          start: keys.start,
          ending: keys.ending,
          text: packed,
          ttlMs: String(Math.ceil(limits.ttlMs)),
          limitBytes: String(limits.limitBytes),
        },
      });
    },
    async get(jobId) {
      const packed = await redis.get(keys.text(jobId));
      return packed === null ? null : (await expand(Buffer.from(packed, "base64"))).toString("utf8");
    },
  };
}

/** Removes what is kept of a job that is forgotten. */
export async function forgetTranscript(redis: Redis, prefix: string, jobId: string): Promise<void> {
  const keys = transcriptKeys(prefix);
  await redis.multi().del(keys.text(jobId)).zrem(keys.order, jobId).hdel(keys.sizes, jobId).exec();
}
