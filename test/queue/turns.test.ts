import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { QUEUED_SUMMARY } from "../../src/job/summary.ts";
import { connectRedis } from "../../src/queue/connection.ts";
import { Consumer } from "../../src/queue/consumer.ts";
import type { DeliveryResult } from "../../src/queue/delivery.ts";
import { closeQueues, openQueues } from "../../src/queue/queues.ts";
import {
  EVERY_TENANT,
  endLeftTurns,
  pruneTenantDays,
  readTenantLoad,
  writeTurnLimits,
} from "../../src/queue/tenants.ts";
import { createRedisJobs } from "../../src/queue/redis-jobs.ts";
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

/** A queue whose worker only writes down in which order jobs come. */
async function line() {
  const prefix = randomPrefix();
  const queues = openQueues(redis, prefix);
  const jobs = createRedisJobs(redis, queues, prefix);
  const order: string[] = [];
  let number = 0;
  const consume = (handle: (id: string) => Promise<DeliveryResult> | DeliveryResult, concurrency = 1) =>
    new Consumer({
      queue: queues.convert,
      redis,
      prefix,
      concurrency,
      leaseMs: 5000,
      stalledIntervalMs: 5000,
      now: Date.now,
      onError: (error) => order.push(String(error)),
      handle: async ({ data }) => await handle((data as { input: string }).input),
    });
  return {
    prefix,
    queues,
    jobs,
    order,
    consume,
    submit: async (tenant: string | undefined, extra: object = {}) =>
      await jobs.submit("convert", { input: `${tenant ?? "none"}-${(number += 1)}`, tenant, ...extra }),
    limit: async (tenant: string, limits: object) =>
      await redis.hset(`${prefix}:tenants`, tenant, JSON.stringify(limits)),
    /** Runs all that waits, one at a time. */
    async run(count: number) {
      const consumer = consume((id) => {
        order.push(id);
        return completed;
      });
      await expect.poll(() => order.length, { interval: 5, timeout: 10_000 }).toBe(count);
      await consumer.stop();
      return order.map((id) => id.split("-", 1)[0]).join("");
    },
    [Symbol.asyncDispose]: async () => await closeQueues(queues),
  };
}

const completed: DeliveryResult = {
  kind: "completed",
  summary: QUEUED_SUMMARY,
  settle: async () => await Promise.resolve(),
};

describe("turns of tenants", () => {
  it("come one after the other, however many jobs one of them has", async () => {
    await using pool = await line();
    for (const tenant of ["a", "a", "a", "a", "a", "b", "b", "c"]) await pool.submit(tenant);
    expect(await pool.run(8)).toBe("abcabaaa");
    // Nothing is left of those who have no jobs.
    const left = await redis.keys(`${pool.prefix}:turns:*`);
    expect(new Set(left.map((key) => key.split(":turns:")[1]))).toEqual(
      new Set(["convert:clock", "convert:idle", "number"]),
    );
    expect(await redis.zrange(`${pool.prefix}:turns:convert:idle`, "0", "-1")).toEqual(["a"]);
  });

  it("go by weight, and a tenant that comes late has no turns to make up for", async () => {
    await using pool = await line();
    await pool.limit("b", { weight: 2 });
    for (const tenant of ["a", "a", "a"]) await pool.submit(tenant);
    expect(await pool.run(3)).toBe("aaa");
    for (const tenant of ["a", "a", "a", "b", "b", "b", "b"]) await pool.submit(tenant);
    // `a` had the latest turn, so the first of the new ones is not its own.
    expect(await pool.run(10)).toBe("aaabbabbaa");
  });

  it("go by priority within a tenant, then by the order of coming", async () => {
    await using pool = await line();
    await pool.submit("a");
    await pool.submit("a", { priority: -1 });
    await pool.submit("b", { priority: -10 });
    await pool.submit("a", { priority: 3 });
    await pool.submit("a", { priority: 3 });
    await pool.run(5);
    expect(pool.order).toEqual(["a-4", "b-3", "a-5", "a-1", "a-2"]);
  });

  it("are given to jobs of programs that know nothing of them", async () => {
    await using pool = await line();
    const { convert } = pool.queues;
    const plain = new Redis(server.url);
    const theirs = new Queue("convert", { connection: plain, prefix: pool.prefix });
    for (const input of ["a-1", "a-2", "a-3"]) await theirs.add("convert", { v: 1, input, tenant: "a" });
    await theirs.add("convert", { v: 1, input: "b-4", tenant: "b" }, { priority: 5 });
    await theirs.add("convert", { v: 1, input: "b-5", tenant: "b" }, { priority: 2 });
    await theirs.add("convert", { v: 1, input: "none-6" });
    expect(await convert.getJobCounts("waiting", "prioritized")).toEqual({ waiting: 4, prioritized: 2 });
    await pool.run(6);
    expect(pool.order).toEqual(["none-6", "a-1", "b-5", "a-2", "b-4", "a-3"]);
    await theirs.close();
    plain.disconnect();
  });
});

describe("limits of tenants", () => {
  /** Jobs begin, and end when they are let go. */
  const holding = (pool: Awaited<ReturnType<typeof line>>, concurrency: number) => {
    const running = new Map<string, () => void>();
    const consumer = pool.consume(async (id) => {
      await new Promise<void>((resolve) => running.set(id, resolve));
      running.delete(id);
      return completed;
    }, concurrency);
    const ids = () => [...running.keys()].toSorted();
    return {
      ids,
      begun: async (expected: readonly string[]) =>
        await expect.poll(ids, { interval: 5, timeout: 4000 }).toEqual(expected),
      end: (id: string) => running.get(id)?.(),
      async stop() {
        const stopped = consumer.stop();
        for (const end of running.values()) end();
        await stopped;
      },
    };
  };

  it("let no more of its jobs run than it may, and take no worker from others", async () => {
    await using pool = await line();
    await writeTurnLimits(redis, pool.prefix, "a", { running: 1 });
    for (const tenant of ["a", "a", "a", "b", "b"]) await pool.submit(tenant);
    const held = holding(pool, 4);
    await held.begun(["a-1", "b-4", "b-5"]);
    expect(await readTenantLoad(redis, pool.prefix, 1)).toEqual({
      top: [{ tenant: "a", waiting: 2, running: 1 }],
      others: { waiting: 0, running: 2 },
    });
    held.end("a-1");
    await held.begun(["a-2", "b-4", "b-5"]);
    // A higher limit counts at once.
    await writeTurnLimits(redis, pool.prefix, "a", {});
    await held.begun(["a-2", "a-3", "b-4", "b-5"]);
    await held.stop();
    expect(await redis.exists(`${pool.prefix}:turns:jobs`, `${pool.prefix}:turns:running`)).toBe(0);
  });

  it("count a job that is put away, and end with the job however it went", async () => {
    await using pool = await line();
    await writeTurnLimits(redis, pool.prefix, "a", { running: 1 });
    await pool.submit("a");
    await pool.submit("a");
    const seen = new Set<string>();
    const consumer = pool.consume((id) => {
      seen.add(id);
      return id === "a-1" ? { kind: "delayed", delayMs: 600_000, heedsCancel: false } : completed;
    });
    await expect.poll(async () => await pool.queues.convert.getDelayedCount()).toBe(1);
    expect([...seen]).toEqual(["a-1"]);
    const [first] = await pool.queues.convert.getDelayed();
    await first?.remove();
    await endLeftTurns(redis, pool.prefix);
    await expect.poll(() => [...seen], { timeout: 4000 }).toEqual(["a-1", "a-2"]);
    await consumer.stop();
  });

  it("refuse jobs beyond those that may wait, or come in a day, and take a repeated one for what it is", async () => {
    await using pool = await line();
    await writeTurnLimits(redis, pool.prefix, EVERY_TENANT, { waiting: 2 });
    await writeTurnLimits(redis, pool.prefix, "b", { perDay: 1, waiting: 5 });
    const submit = async (tenant: string, idempotencyKey?: string) =>
      await pool.jobs.submit(
        "convert",
        { input: "film.mkv", tenant },
        idempotencyKey === undefined ? {} : { idempotencyKey },
      );
    const first = await submit("a", "once");
    await submit("a");
    await expect(submit("a")).rejects.toMatchObject({
      code: "TENANT_LIMIT",
      message: expect.stringContaining("2 jobs that wait") as string,
    });
    expect(await submit("a", "once")).toEqual({ ...first, created: false });
    await submit("b");
    await expect(submit("b")).rejects.toMatchObject({ code: "TENANT_LIMIT" });
    // A cancel makes room at once.
    await pool.jobs.cancel(first.id);
    await submit("a");
    expect(await redis.hlen(`${pool.prefix}:turns:days`)).toBe(1);
    await pruneTenantDays(redis, pool.prefix, Date.now() + 3 * 86_400_000);
    expect(await redis.hlen(`${pool.prefix}:turns:days`)).toBe(0);
  });
});

describe("a job", () => {
  it("does not begin before its time", async () => {
    await using pool = await line();
    const at = new Date(Date.now() + 3_600_000).toISOString();
    await pool.submit("a", { run_at: at });
    await pool.submit("a", { delay_seconds: 0.3 });
    await pool.submit("a", { run_at: "2026-01-01T00:00:00Z" });
    const startedAt = Date.now();
    await pool.run(2);
    expect(pool.order).toEqual(["a-3", "a-2"]);
    expect(Date.now() - startedAt).toBeGreaterThan(250);
    expect(await pool.queues.convert.getDelayedCount()).toBe(1);
  });

  it("that is retried has a turn as any other, and one that is removed has none", async () => {
    await using pool = await line();
    await pool.submit("a");
    const failing = pool.consume(() => ({
      kind: "failed",
      code: "UNEXPECTED",
      message: "no",
      summary: QUEUED_SUMMARY,
      settle: async () => await Promise.resolve(),
    }));
    await expect.poll(async () => await pool.queues.convert.getFailedCount()).toBe(1);
    await failing.stop();
    const [failed] = await pool.queues.convert.getFailed();
    for (const tenant of ["b", "a", "b"]) await pool.submit(tenant);
    await pool.jobs.retry(failed?.id ?? "");
    await (await pool.queues.convert.getPrioritized()).find(({ data }) => data.input === "b-2")?.remove();
    await pool.run(3);
    expect(pool.order).toEqual(["b-4", "a-3", "a-1"]);
  });
});
