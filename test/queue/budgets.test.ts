import fc from "fast-check";
import type { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Budget } from "../../src/job/budget.ts";
import { firstCheckpoint, withEndedCall } from "../../src/job/checkpoint.ts";
import type { EndedCall } from "../../src/job/receipt.ts";
import { QUEUED_SUMMARY } from "../../src/job/summary.ts";
import {
  pruneBudgetSums,
  readBudgetUse,
  readTenantBudgets,
  releaseLeftReservations,
  writeTenantBudget,
} from "../../src/queue/budgets.ts";
import { connectRedis } from "../../src/queue/connection.ts";
import { expenseKeys, jobKeys } from "../../src/queue/keys.ts";
import { createLease } from "../../src/queue/lease.ts";
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

let calls = 0;
const endedCall = (usd: number): EndedCall => ({
  callId: `fc-${(calls += 1)}`,
  outcome: "succeeded",
  waitSeconds: 0,
  seconds: 1,
  gpu: "T4",
  usd,
  pricesAsOf: "2026-05-07",
  usdPerSecond: null,
  parts: null,
});

/** Jobs that this process owns. */
function pool(prefix = randomPrefix()) {
  const keysOf = (id: string) => jobKeys(prefix, "convert", id);
  const leaseOf = (id: string, token = "mine") =>
    createLease(redis, { prefix, queue: "convert", jobId: id, token });
  return {
    prefix,
    keysOf,
    async take(id: string, tenant?: string) {
      await redis.hset(keysOf(id).job, "name", "convert", "data", JSON.stringify({ tenant }));
      await redis.set(keysOf(id).lock, "mine");
    },
    reserve: async (id: string, usd: number, limits: Budget, token?: string) =>
      await leaseOf(id, token).reserve(() => usd, limits),
    async end(id: string, usd: number) {
      const spend = endedCall(usd);
      await leaseOf(id).commit({ checkpoint: withEndedCall(firstCheckpoint(1, 0), spend), spend });
    },
    async settle(id: string) {
      await redis.del(keysOf(id).lock);
      await leaseOf(id).settle({ volumeId: null, summary: QUEUED_SUMMARY, log: "end" });
    },
    use: async () => await readBudgetUse(redis, prefix),
    reserved: async () => await redis.hgetall(expenseKeys(prefix).reserved),
  };
}

describe("a reservation", () => {
  it("counts running calls, and is settled with the real cost", async () => {
    const jobs = pool();
    for (const id of ["a", "b", "c"]) await jobs.take(id);
    const limits = { perDay: 10 };
    expect(await jobs.reserve("a", 6, limits)).toBe("reserved");
    // The same job reserves again, as after a call that was lost: it is held once.
    expect(await jobs.reserve("a", 6, limits)).toBe("reserved");
    expect(await jobs.reserve("b", 5, limits)).toMatchObject({
      limit: "perDay",
      limitUsd: 10,
      usedUsd: 6,
      usd: 5,
      over: "fail",
    });
    await jobs.end("a", 2.5);
    expect(await jobs.use()).toEqual({ day: 2.5, month: 2.5 });
    expect(await jobs.reserve("b", 5, limits)).toBe("reserved");
    expect(await jobs.use()).toEqual({ day: 7.5, month: 7.5 });
    await jobs.settle("b");
    expect(await jobs.use()).toEqual({ day: 2.5, month: 2.5 });
    expect(await jobs.reserved()).toEqual({});
  });

  it("is refused without the lease, and holds nothing", async () => {
    const jobs = pool();
    await jobs.take("a");
    expect(await jobs.reserve("a", 1, {}, "stale")).toBe("refused");
    expect(await jobs.reserved()).toEqual({});
  });

  it("obeys each limit, a tenant's own before those of the settings", async () => {
    const jobs = pool();
    await jobs.take("a", "acme");
    await jobs.take("b", "other");
    await jobs.take("none");
    const limits: Budget = { perJob: 5, tenantPerDay: 3, tenantPerMonth: 4, over: "wait" };
    expect(await jobs.reserve("none", 6, limits)).toMatchObject({ limit: "perJob", renewsInSeconds: 0 });
    expect(await jobs.reserve("none", 4.5, limits)).toBe("reserved");
    const over = await jobs.reserve("a", 3.5, limits);
    expect(over).toMatchObject({ limit: "tenantPerDay", usedUsd: 0, over: "wait" });
    expect((over as { renewsInSeconds: number }).renewsInSeconds).toBeGreaterThan(0);
    expect((over as { renewsInSeconds: number }).renewsInSeconds).toBeLessThanOrEqual(86_400);
    await writeTenantBudget(redis, jobs.prefix, "acme", {
      tenantPerDay: 20,
      tenantPerMonth: 30,
      over: "fail",
    });
    expect(await readTenantBudgets(redis, jobs.prefix)).toEqual({
      acme: { tenantPerDay: 20, tenantPerMonth: 30, over: "fail" },
    });
    expect(await jobs.reserve("a", 5, limits)).toBe("reserved");
    expect(await jobs.reserve("b", 3.5, limits)).toMatchObject({ limit: "tenantPerDay" });
    await writeTenantBudget(redis, jobs.prefix, "acme", {});
    expect(await readTenantBudgets(redis, jobs.prefix)).toEqual({});
    expect(await jobs.reserve("a", 5, limits)).toMatchObject({ limit: "tenantPerDay" });
  });

  it("is given back when its worker died with the job, but not while the job lives", async () => {
    const jobs = pool();
    for (const id of ["gone", "over", "alive"]) {
      await jobs.take(id, "acme");
      expect(await jobs.reserve(id, 1, {})).toBe("reserved");
    }
    await redis.del(jobs.keysOf("gone").job);
    await redis.zadd(`${jobs.prefix}:convert:failed`, 1, "over");
    await releaseLeftReservations(redis, jobs.prefix);
    expect(await jobs.reserved()).toEqual({
      all: "1000000",
      "tenant|acme": "1000000",
      "convert:alive": "1000000|acme",
    });
  });

  it("learns how fast calls are", async () => {
    const jobs = pool();
    await jobs.take("a");
    let known: number | null = 1;
    const lease = createLease(redis, { prefix: jobs.prefix, queue: "convert", jobId: "a", token: "mine" });
    const look = async () => await lease.reserve((speed) => ((known = speed), 0), {});
    await look();
    expect(known).toBeNull();
    const result = {
      path: "p",
      engine: "e",
      mediaSeconds: 4,
      gpuSeconds: 1,
      warnings: [],
    };
    const spend = endedCall(1);
    const checkpoint = withEndedCall({ ...firstCheckpoint(1, 0), facts: { result } }, spend);
    await lease.commit({ checkpoint, spend });
    await look();
    expect(known).toBe(0.25);
  });

  it("forgets the sums of days and months that are over", async () => {
    const jobs = pool();
    await jobs.take("a", "acme");
    await jobs.end("a", 1);
    const { spent } = expenseKeys(jobs.prefix);
    expect(await redis.hlen(spent)).toBe(4);
    await pruneBudgetSums(redis, jobs.prefix, Date.now());
    expect(await redis.hlen(spent)).toBe(4);
    await pruneBudgetSums(redis, jobs.prefix, Date.now() + 70 * 86_400_000);
    expect(await redis.hlen(spent)).toBe(0);
  });
});

describe("a budget, whatever happens to its jobs", () => {
  it("is never exceeded by estimates that are right, never negative, and nothing of it is lost", async () => {
    const event = fc.record({
      job: fc.integer({ min: 0, max: 4 }),
      cents: fc.integer({ min: 0, max: 400 }),
      what: fc.constantFrom("reserve", "end", "settle", "die"),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 25 }), async (events) => {
        const jobs = pool();
        const held = new Map<string, number>();
        let spent = 0;
        const sum = () => [...held.values()].reduce((all, cents) => all + cents, 0);
        for (const { job, cents, what } of events) {
          const id = `j${job}`;
          await jobs.take(id, job % 2 === 0 ? "acme" : undefined);
          if (what === "reserve") {
            const others = sum() - (held.get(id) ?? 0);
            held.delete(id);
            const answer = await jobs.reserve(id, cents / 100, { perDay: 10 });
            expect(answer === "reserved").toBe(spent + others + cents <= 1000);
            if (answer === "reserved") held.set(id, cents);
          } else if (what === "end") {
            // A call costs what was held for it, or nothing where it never began.
            const cost = held.get(id) ?? 0;
            await jobs.end(id, cost / 100);
            spent += cost;
            held.delete(id);
          } else if (what === "settle") {
            await jobs.settle(id);
            held.delete(id);
          } else {
            await redis.del(jobs.keysOf(id).job);
            await releaseLeftReservations(redis, jobs.prefix);
            held.delete(id);
          }
          const { day } = await jobs.use();
          expect(Math.round(day * 100)).toBe(spent + sum());
          expect(day).toBeLessThanOrEqual(10);
        }
        const amounts = Object.values(await jobs.reserved()).map((text) => Number.parseInt(text, 10));
        for (const amount of amounts) expect(amount).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 60 },
    );
  });
});
