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
