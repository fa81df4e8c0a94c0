import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectRedis, type RedisConnection } from "../../src/queue/connection.ts";
import { startConsumer } from "../../src/queue/consumer.ts";
import { createJobStore } from "../../src/queue/job-store.ts";
import { jobKeys } from "../../src/queue/keys.ts";
import { closeQueues, openQueues } from "../../src/queue/queues.ts";
import { runJob } from "../../src/runner/run-job.ts";
import { instantTools } from "../../bench/instant-tools.ts";
import { randomPrefix, testRedis } from "../helpers/redis.ts";

let server: Awaited<ReturnType<typeof testRedis>>;
let redis: RedisConnection;
beforeAll(async () => {
  server = await testRedis();
  redis = connectRedis(server.url);
});
afterAll(async () => {
  redis.disconnect();
  await server[Symbol.asyncDispose]();
});

describe("a job that cannot even be read", () => {
  it("ends with a code instead of coming back for ever", async () => {
    const prefix = randomPrefix();
    const queues = openQueues(redis, prefix);
    const job = await queues.convert.add("convert", { v: 1, input: "x" });
    const id = job.id ?? "";
    await redis.hset(jobKeys(prefix, "convert", id).job, "data", "{no json");
    const errors: unknown[] = [];
    const consumer = startConsumer({
      queue: queues.convert,
      redis,
      prefix,
      concurrency: 1,
      leaseMs: 600,
      stalledIntervalMs: 200,
      now: Date.now,
      onError: (error) => errors.push(error),
      handle: async (delivery) => await runJob(delivery, instantTools()),
    });
    const store = createJobStore(redis, queues, prefix);
    const view = async () => await store.get(id).catch(() => null);
    await expect.poll(async () => (await view())?.status, { timeout: 15_000 }).toBe("failed");
    expect((await view())?.error?.code).toBe("REQUEST_INVALID");
    expect(errors).not.toEqual([]);
    await consumer.stop();
    await closeQueues(queues);
  });
});

describe("an idle consumer", () => {
  it("asks for a job again and again, and one without room is not late", async () => {
    const prefix = randomPrefix();
    const queues = openQueues(redis, prefix);
    const held = new AbortController();
    const consumer = startConsumer({
      queue: queues.convert,
      redis,
      prefix,
      concurrency: 1,
      leaseMs: 5000,
      stalledIntervalMs: 5000,
      now: Date.now,
      onError: () => undefined,
      handle: async () => {
        await once(held.signal, "abort");
        return { kind: "fenced" };
      },
    });
    // BullMQ waits 5 s for a job before it asks anew.
    await expect.poll(() => consumer.sincePollMs(), { timeout: 15_000, interval: 50 }).toBeGreaterThan(2000);
    await expect.poll(() => consumer.sincePollMs(), { timeout: 15_000, interval: 50 }).toBeLessThan(1000);
    await queues.convert.add("convert", { v: 1, input: "x" });
    await expect.poll(() => consumer.activeIds().length, { timeout: 10_000 }).toBe(1);
    await sleep(300);
    expect(consumer.sincePollMs()).toBe(0);
    held.abort();
    await consumer.stop();
    await closeQueues(queues);
  });
});
