import type { Redis } from "ioredis";
import { afterAll, beforeAll, expect, it } from "vitest";
import { connectRedis } from "../../src/queue/connection.ts";
import { ledgerKey } from "../../src/queue/keys.ts";
import { checkPlatform, openPlatformClaim } from "../../src/queue/platform-claim.ts";
import { randomPrefix, testRedis } from "../../support/redis.ts";

let server: Awaited<ReturnType<typeof testRedis>>;
let redis: Redis;
beforeAll(async () => {
  server = await testRedis();
  redis = connectRedis(server.url);
});
afterAll(async () => {
  redis.disconnect();
  await server[Symbol.asyncDispose]();
});

const ours = { id: "en-ours", name: "environment main of modal.com" };
const other = { id: "en-other", name: "environment main of 127.0.0.1" };

it("has one server while workers of it live or its volumes are in the ledger", async () => {
  const prefix = randomPrefix();
  const [one, two, stranger] = [1, 2, 3].map(() => openPlatformClaim(redis, prefix)) as [
    ReturnType<typeof openPlatformClaim>,
    ReturnType<typeof openPlatformClaim>,
    ReturnType<typeof openPlatformClaim>,
  ];
  await one.hold(ours);
  await two.hold(ours);
  const refused = {
    code: "PREFIX_IN_USE",
    message: expect.stringMatching(/modal\.com \(1 workers, 0 live/u) as string,
  };
  await one.release();
  await expect(stranger.hold(other)).rejects.toMatchObject(refused);
  await two.release();
  await redis.hset(ledgerKey(prefix), "vo-1", "{}");
  await expect(stranger.hold(other)).rejects.toMatchObject({
    message: expect.stringContaining("0 workers, 1 live volumes") as string,
  });
  await expect(checkPlatform(redis, prefix, other)).rejects.toMatchObject({ code: "PREFIX_IN_USE" });
  await checkPlatform(redis, prefix, ours);
  await redis.del(ledgerKey(prefix));
  await stranger.hold(other);
  await checkPlatform(redis, prefix, other);
  await expect(one.hold(ours)).rejects.toMatchObject({ code: "PREFIX_IN_USE" });
});

it("leaves a prefix that nobody has claimed to whoever asks, also to those that only reap", async () => {
  const prefix = randomPrefix();
  await checkPlatform(redis, prefix, other);
  await redis.hset(ledgerKey(prefix), "vo-1", "{}");
  await openPlatformClaim(redis, prefix).hold(ours);
  expect(await redis.pttl(`${prefix}:platform:workers`)).toBeGreaterThan(40_000);
});
