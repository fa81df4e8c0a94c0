import { Redis } from "ioredis";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { type EmbeddedRedis, startEmbeddedRedis } from "../src/cli/embedded-redis.ts";

/** Starts a real Redis, stopped and removed at the end of the scope. */
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

/** Waits until Redis has no record of finished jobs; they are removed a moment after the jobs end. */
export async function expectBooksCleared(url: string): Promise<void> {
  await withRedis(url, async (redis) => {
    const entries = async () => {
      const keys = await redis.keys("{mirumoji}*");
      const volumes = await redis.hkeys("{mirumoji}:ledger");
      return [...volumes, ...keys.filter((key) => /:(checkpoint|lock)$/u.test(key))];
    };
    await expect.poll(entries, { timeout: 5000 }).toEqual([]);
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
