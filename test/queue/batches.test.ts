import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { QUEUED_SUMMARY } from "../../src/job/summary.ts";
import { openBatches, resumeBatches } from "../../src/queue/batches.ts";
import { connectRedis } from "../../src/queue/connection.ts";
import { Consumer } from "../../src/queue/consumer.ts";
import { openJobParts } from "../../src/queue/job-parts.ts";
import { openOutbox, toldBy } from "../../src/queue/outbox.ts";
import { closeQueues, openQueues } from "../../src/queue/queues.ts";
import { createRedisJobs } from "../../src/queue/redis-jobs.ts";
import { writeTurnLimits } from "../../src/queue/tenants.ts";
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

function pool() {
  const prefix = randomPrefix();
  const queues = openQueues(redis, prefix);
  const { index } = openJobParts(redis, queues, { prefix, onError: () => undefined });
  const jobs = createRedisJobs(redis, queues, prefix);
  const parts = { redis, prefix, queues, index };
  const order: string[] = [];
  return {
    prefix,
    parts,
    jobs,
    batches: openBatches(parts, jobs),
    order,
    /** Works on all that waits; jobs with a broken input fail. */
    work: (isBroken: (input: string) => boolean) =>
      new Consumer({
        queue: queues.convert,
        redis,
        prefix,
        concurrency: 8,
        leaseMs: 5000,
        stalledIntervalMs: 5000,
        now: Date.now,
        onError: (error) => order.push(String(error)),
        handle: async ({ jobId, data }) => {
          order.push(jobId);
          const rest = { summary: QUEUED_SUMMARY, settle: async () => await Promise.resolve() };
          const { input } = data as { input: string };
          return await Promise.resolve(
            isBroken(input)
              ? { kind: "failed" as const, code: "INPUT_UNREADABLE", message: "broken", ...rest }
              : { kind: "completed" as const, ...rest },
          );
        },
      }),
    told: async () => (await openOutbox(redis, prefix).list("pending", 100)).map(toldBy),
    [Symbol.asyncDispose]: async () => await closeQueues(queues),
  };
}

const films = (count: number, extra: object = {}) =>
  Array.from({ length: count }, (_, n) => ({
    type: "convert" as const,
    request: { input: `film-${n}.mkv`, ...extra },
  }));
const webhook = { url: "https://example.org/ends" };

describe("a batch", () => {
  it("of 1,000 with 1 % broken inputs ends once, and a retry does only what failed", async () => {
    await using all = pool();
    const { id, created } = await all.batches.submit({ items: films(1000), webhook });
    expect(created).toBe(true);
    expect(await all.batches.get(id)).toMatchObject({ status: "running", total: 1000, completed: 0 });
    const broken = all.work((input) => /\d00\.mkv|-50\.mkv/u.test(input));
    await expect.poll(async () => (await all.batches.get(id)).status, { timeout: 20_000 }).toBe("partial");
    await broken.stop();
    expect(all.order).toEqual(Array.from({ length: 1000 }, (_, n) => `${id}-${n}`));
    const ended = await all.batches.get(id);
    expect(ended).toMatchObject({ completed: 990, failed: 10, cancelled: 0 });
    expect(await all.told()).toEqual([{ type: "batch.ended", data: ended }]);
    all.order.length = 0;
    expect(await all.batches.retry(id)).toBe(10);
    expect(await all.batches.get(id)).toMatchObject({
      status: "running",
      completed: 990,
      failed: 0,
      endedAt: null,
    });
    const sound = all.work(() => false);
    await expect.poll(async () => (await all.batches.get(id)).status, { timeout: 20_000 }).toBe("completed");
    await sound.stop();
    expect(all.order).toEqual([50, 100, 200, 300, 400, 500, 600, 700, 800, 900].map((n) => `${id}-${n}`));
    expect(await all.told()).toHaveLength(2);
  });

  it("is accepted as a whole or not at all", async () => {
    await using all = pool();
    const wrong = [...films(2), { type: "convert" as const, request: { input: "../film.mkv" } }];
    await expect(all.batches.submit({ items: wrong })).rejects.toMatchObject({
      code: "PATH_OUTSIDE_MEDIA_ROOT",
      message: expect.stringContaining("item 2") as string,
    });
    await writeTurnLimits(redis, all.prefix, "a", { waiting: 5 });
    const items = films(6, { tenant: "a" });
    await expect(all.batches.submit({ items })).rejects.toMatchObject({ code: "TENANT_LIMIT" });
    await expect(
      all.batches.submit({ items: films(2, { tenant: "b" }) }, { tenant: "a" }),
    ).rejects.toMatchObject({
      code: "SCOPE_MISSING",
    });
    expect(await all.parts.queues.convert.getJobCountByTypes("waiting", "prioritized")).toBe(0);
    await all.batches.submit({ items: items.slice(1) });
    expect(await all.parts.queues.convert.getJobCountByTypes("waiting", "prioritized")).toBe(5);
  });

  it("is the same one for the same key, and its jobs come when its submitter dies", async () => {
    await using all = pool();
    const idempotencyKey = randomUUID();
    // The submitter is gone after it was accepted, with a third of the jobs in their queue.
    let adds = 0;
    const dying = {
      ...all.parts,
      index: {
        ...all.parts.index,
        add: async (...args: Parameters<typeof all.parts.index.add>) => {
          adds += 1;
          if (adds > 200) throw new Error("killed");
          await all.parts.index.add(...args);
        },
      },
    };
    const items = films(600);
    await expect(openBatches(dying, all.jobs).submit({ items }, { idempotencyKey })).rejects.toThrow(
      "killed",
    );
    await Promise.all([resumeBatches(all.parts), resumeBatches(all.parts)]);
    expect(await all.parts.queues.convert.getJobCountByTypes("waiting", "prioritized")).toBe(600);
    const { id, created } = await all.batches.submit({ items }, { idempotencyKey });
    expect(created).toBe(false);
    await expect(all.batches.submit({ items: films(599) }, { idempotencyKey })).rejects.toMatchObject({
      code: "IDEMPOTENCY_CONFLICT",
    });
    expect(await redis.exists(`${all.prefix}:batches:open`, `${all.prefix}:batch:${id}:items`)).toBe(0);
    expect((await all.jobs.listPage({ limit: 500 })).jobs).toHaveLength(500);
    // Cancelled as a whole, it ends.
    expect(await all.batches.cancel(id)).toBe(600);
    expect(await all.batches.get(id)).toMatchObject({ status: "cancelled", cancelled: 600 });
    expect(await all.batches.cancel(id)).toBe(0);
    await expect(all.batches.get("batch-none")).rejects.toMatchObject({ code: "BATCH_NOT_FOUND" });
  });
});
