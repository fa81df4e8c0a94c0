import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { QUEUED_SUMMARY } from "../../src/job/summary.ts";
import { connectRedis, type RedisConnection } from "../../src/queue/connection.ts";
import { Consumer, type ConsumerOptions } from "../../src/queue/consumer.ts";
import { createRedisJobs } from "../../src/queue/redis-jobs.ts";
import { jobKeys } from "../../src/queue/keys.ts";
import { closeQueues, openQueues } from "../../src/queue/queues.ts";
import { runJob } from "../../src/runner/run-job.ts";
import { instantTools } from "../../support/instant-tools.ts";
import { randomPrefix, testRedis } from "../../support/redis.ts";

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
    const consumer = new Consumer({
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
    const jobs = createRedisJobs(redis, queues, prefix);
    const view = async () => await jobs.get(id).catch(() => null);
    await expect.poll(async () => (await view())?.status, { timeout: 15_000 }).toBe("failed");
    expect((await view())?.error?.code).toBe("REQUEST_INVALID");
    expect(errors).toEqual([]);
    await consumer.stop();
    await closeQueues(queues);
  });
});

describe("an idle consumer", () => {
  it("asks for a job again and again, and one without room is not late", async () => {
    const prefix = randomPrefix();
    const queues = openQueues(redis, prefix);
    const held = new AbortController();
    const consumer = new Consumer({
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

describe("a job that is handed back", () => {
  it("is taken up at once, though somebody who leaves took the call for it", async () => {
    const prefix = randomPrefix();
    const queues = openQueues(redis, prefix);
    const start = (handle: ConsumerOptions["handle"]) =>
      new Consumer({
        queue: queues.convert,
        redis,
        prefix,
        concurrency: 1,
        leaseMs: 5000,
        stalledIntervalMs: 5000,
        now: Date.now,
        onError: () => undefined,
        handle,
      });
    const leaving = start(async ({ signals }) => {
      await once(signals.stopped, "abort");
      return { kind: "released" };
    });
    await queues.convert.add("convert", { v: 1, input: "x" });
    await expect.poll(() => leaving.activeIds().length, { timeout: 10_000 }).toBe(1);
    const blocked = async () => Number(/blocked_clients:(\d+)/u.exec(await redis.info("clients"))?.[1]);
    const before = await blocked();
    const marker = queues.convert.toKey("marker");
    await redis.del(marker);
    const swallower = redis.duplicate();
    const swallowed = swallower.bzpopmin(marker, 0);
    await expect.poll(blocked).toBe(before + 1);
    let takenAt = 0;
    const staying = start(async () => {
      takenAt = performance.now();
      return await Promise.resolve({
        kind: "completed",
        summary: QUEUED_SUMMARY,
        settle: async () => await Promise.resolve(),
      });
    });
    await expect.poll(blocked, { timeout: 10_000 }).toBe(before + 2);
    await leaving.stop();
    const leftAt = performance.now();
    await swallowed;
    await expect.poll(() => takenAt, { timeout: 10_000, interval: 10 }).toBeGreaterThan(0);
    expect(takenAt - leftAt).toBeLessThan(1500);
    swallower.disconnect();
    await staying.stop();
    await closeQueues(queues);
  });
});

describe("a worker whose clock is wrong", () => {
  it.each([
    ["9 h ahead", 9],
    ["9 h behind", -9],
  ])("by %s puts jobs away, takes them up and ends them by the pool's clock", async (_, hours) => {
    const prefix = randomPrefix();
    const queues = openQueues(redis, prefix);
    const poolNow = () => Date.now() - hours * 3_600_000;
    const takenAt: number[] = [];
    const consumer = new Consumer({
      queue: queues.convert,
      redis,
      prefix,
      concurrency: 1,
      leaseMs: 5000,
      stalledIntervalMs: 5000,
      now: poolNow,
      onError: () => undefined,
      handle: async () => {
        takenAt.push(performance.now());
        await Promise.resolve();
        if (takenAt.length === 1) return { kind: "delayed", delayMs: 700, heedsCancel: true };
        return { kind: "completed", summary: QUEUED_SUMMARY, settle: async () => await Promise.resolve() };
      },
    });
    await queues.convert.add("convert", { v: 1, input: "x" }, { jobId: "j1", timestamp: poolNow() });
    const due = async () => Number(await redis.zscore(queues.convert.toKey("delayed"), "j1")) / 0x1000;
    await expect.poll(due, { timeout: 10_000, interval: 10 }).toBeGreaterThan(0);
    expect(Math.abs((await due()) - poolNow() - 700)).toBeLessThan(700);
    const asked = async () => Number(/calls=(\d+)/u.exec(await commandStats())?.[1]);
    const before = await asked();
    await expect.poll(() => takenAt.length, { timeout: 10_000, interval: 10 }).toBe(2);
    expect((takenAt[1] ?? 0) - (takenAt[0] ?? 0)).toBeGreaterThan(600);
    // Neither late nor asking all the time.
    expect((takenAt[1] ?? 0) - (takenAt[0] ?? 0)).toBeLessThan(6000);
    expect((await asked()) - before).toBeLessThan(30);
    await expect.poll(async () => await queues.convert.getCompletedCount()).toBe(1);
    const { finishedOn = 0 } = (await queues.convert.getJob("j1")) ?? {};
    expect(Math.abs(finishedOn - poolNow())).toBeLessThan(10_000);
    await consumer.stop();
    await closeQueues(queues);
  });
});

async function commandStats(): Promise<string> {
  const stats = await redis.info("commandstats");
  return stats.split("\n").find((line) => line.startsWith("cmdstat_bzpopmin")) ?? "";
}

describe("a cancel", () => {
  it("that comes while a job is put away until its next try is heeded at once, but not by one that is undone", async () => {
    const prefix = randomPrefix();
    const queues = openQueues(redis, prefix);
    const taken = new Map<string, number>();
    const consumer = new Consumer({
      queue: queues.convert,
      redis,
      prefix,
      concurrency: 2,
      leaseMs: 5000,
      stalledIntervalMs: 5000,
      now: Date.now,
      onError: () => undefined,
      handle: async ({ jobId }) => {
        const times = (taken.get(jobId) ?? 0) + 1;
        taken.set(jobId, times);
        if (times > 1)
          return { kind: "failed", code: "CANCELLED", message: "", settle: async () => undefined };
        // The push finds nobody who listens any more.
        await redis.hset(jobKeys(prefix, "convert", jobId).job, "cancelRequestedAt", Date.now());
        return { kind: "delayed", delayMs: 3_600_000, heedsCancel: jobId === "stands" };
      },
    });
    for (const jobId of ["stands", "undone"]) {
      await queues.convert.add("convert", { v: 1, input: "x" }, { jobId });
    }
    await expect.poll(() => taken.get("stands"), { timeout: 5000, interval: 20 }).toBe(2);
    await expect.poll(async () => await queues.convert.getJobState("undone")).toBe("delayed");
    expect(taken.get("undone")).toBe(1);
    await consumer.stop();
    await closeQueues(queues);
  });
});

describe("a lease", () => {
  it("is known to be lost while Redis is silent, even when the clock of the machine is set back", async () => {
    const prefix = randomPrefix();
    const queues = openQueues(redis, prefix);
    const own = connectRedis(server.url);
    let isTaken = false;
    let lostAt = 0;
    let why: unknown = null;
    const leaseMs = 900;
    const consumer = new Consumer({
      queue: queues.convert,
      redis: own,
      prefix,
      concurrency: 1,
      leaseMs,
      stalledIntervalMs: 5000,
      now: Date.now,
      onError: () => undefined,
      handle: async ({ signals }) => {
        isTaken = true;
        await once(signals.stopped, "abort");
        lostAt = performance.now();
        why = signals.stopped.reason;
        return { kind: "fenced" };
      },
    });
    await queues.convert.add("convert", { v: 1, input: "x" });
    await expect.poll(() => isTaken, { timeout: 10_000, interval: 10 }).toBe(true);
    const silentAt = performance.now();
    await redis.call("CLIENT", "PAUSE", String(3 * leaseMs), "ALL");
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - 3_600_000 });
    try {
      await sleep(2 * leaseMs);
      expect(lostAt - silentAt).toBeGreaterThan(0);
      expect(why).toMatchObject({ code: "LEASE_LOST" });
    } finally {
      vi.useRealTimers();
    }
    await consumer.stop();
    await closeQueues(queues);
    own.disconnect();
  });
});
