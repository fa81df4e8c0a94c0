import { Redis } from "ioredis";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EmbeddedRedis, startEmbeddedRedis } from "../../src/queue/embedded-redis.ts";

/** A real Redis of this test's own; stopped and removed at the end of the scope. */
export async function testRedis(): Promise<EmbeddedRedis & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), "mirumoji-redis-"));
  const redis = await startEmbeddedRedis({ folder });
  return {
    ...redis,
    [Symbol.asyncDispose]: async () => {
      await redis.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A key prefix that no other test uses. */
export function randomPrefix(): string {
  return `{test-${randomBytes(6).toString("hex")}}`;
}

/** Every key of the default prefix. */
export async function liveKeys(url: string): Promise<string[]> {
  return await withRedis(url, async (redis) => await redis.keys("{mirumoji}*"));
}

/** The volumes that are in the books. */
export async function ledgerEntries(url: string): Promise<string[]> {
  return await withRedis(url, async (redis) => await redis.hkeys("{mirumoji}:ledger"));
}

async function withRedis<T>(url: string, action: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url);
  try {
    return await action(redis);
  } finally {
    redis.disconnect();
  }
}
