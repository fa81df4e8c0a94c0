import { expect, it } from "vitest";
import { connectRedis } from "../../src/queue/connection.ts";
import { HeldKey } from "../../src/queue/held-key.ts";
import { randomPrefix, testRedis } from "../../support/redis.ts";

it("one holder has a key until its term is over or it gives the key up", async () => {
  await using server = await testRedis();
  const redis = connectRedis(server.url);
  const key = `${randomPrefix()}:office`;
  const [first, second] = [new HeldKey(redis, key), new HeldKey(redis, key)];
  expect(await first.hold(60_000)).toBe(true);
  expect(await second.hold(60_000)).toBe(false);
  await second.release();
  expect(await second.hold(60_000)).toBe(false);
  expect(await first.hold(20)).toBe(true);
  await expect.poll(async () => await second.hold(60_000)).toBe(true);
  expect(await first.hold(60_000)).toBe(false);
  await second.release();
  expect(await first.hold(60_000)).toBe(true);
  redis.disconnect();
});
