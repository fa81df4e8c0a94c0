import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ErrorCode, MirumojiError } from "../../src/job/errors.ts";
import { QUEUED_SUMMARY } from "../../src/job/summary.ts";
import { Intake } from "../../src/pool/intake.ts";
import { startPlatformWatch } from "../../src/pool/platform-watch.ts";
import { connectRedis, type RedisConnection } from "../../src/queue/connection.ts";
import { Consumer } from "../../src/queue/consumer.ts";
import { HeldKey } from "../../src/queue/held-key.ts";
import { openPoolPause } from "../../src/queue/pool-pause.ts";
import { closeQueues, openQueues } from "../../src/queue/queues.ts";
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

/** A pool whose workers see Modal as the test says: a job that meets trouble reports it and is handed back. */
function openPool() {
  const prefix = randomPrefix();
  const queues = openQueues(redis, prefix);
  const pause = openPoolPause(redis, prefix);
  const taken: { by: string; jobId: string; at: number }[] = [];
  const stops: (() => Promise<void>)[] = [];
  return {
    queues,
    pause,
    taken,
    worker(by: string, see: () => ErrorCode | null, renewToken = () => false) {
      const trouble = () => {
        const code = see();
        if (code === null) return null;
        return new MirumojiError(code, "as the test says", { retryAfterMs: 1500 });
      };
      const told: [string, string | null][] = [];
      const consumer: Consumer = new Consumer({
        queue: queues.convert,
        redis,
        prefix,
        concurrency: 2,
        leaseMs: 5000,
        stalledIntervalMs: 5000,
        now: Date.now,
        onError: () => undefined,
        handle: async ({ jobId }) => {
          taken.push({ by, jobId, at: performance.now() });
          const error = trouble();
          if (error !== null && (await watch.report(error))) return { kind: "released" };
          return { kind: "completed", summary: QUEUED_SUMMARY, settle: async () => await Promise.resolve() };
        },
      });
      const intake = new Intake([consumer]);
      const watch = startPlatformWatch({
        pause,
        intake,
        probing: new HeldKey(redis, `${prefix}:probe`),
        probe: async () => {
          await Promise.resolve();
          const error = trouble();
          if (error !== null) throw error;
        },
        renewToken,
        onChange: (hold, why) => told.push([hold, why]),
        onError: () => undefined,
        roundMs: 20,
        probeMs: 60,
      });
      stops.push(async () => {
        await watch.stop();
        await consumer.stop();
      });
      return { intake, watch, told };
    },
    async add(count: number) {
      const jobs = Array.from({ length: count }, (_none, index) => ({
        name: "convert",
        data: { v: 1, input: `${index}` },
      }));
      await queues.convert.addBulk(jobs);
    },
    completed: async () => await queues.convert.getCompletedCount(),
    async [Symbol.asyncDispose]() {
      await Promise.all(stops.map(async (stop) => await stop()));
      await closeQueues(queues);
    },
  };
}

const patient = { timeout: 15_000, interval: 20 };

describe("a refused token", () => {
  it("is its worker's alone: no job fails, another worker goes on, and so does this one with a new token", async () => {
    await using pool = openPool();
    let token = "old";
    let isReplaced = false;
    const bad = pool.worker(
      "bad",
      () => (token === "old" ? "MODAL_UNAUTHENTICATED" : null),
      () => {
        if (!isReplaced || token === "new") return false;
        token = "new";
        return true;
      },
    );
    await pool.add(20);
    await expect.poll(() => [...bad.intake.reasons.keys()], patient).toEqual(["token"]);
    const takenBefore = pool.taken.length;
    expect(await pool.pause.read()).toBeNull();
    expect(bad.watch.isAtFault()).toBe(true);

    pool.worker("good", () => null);
    await expect.poll(pool.completed, patient).toBe(20);
    expect(pool.taken.filter(({ by }) => by === "bad").length).toBe(takenBefore);
    expect(takenBefore).toBeLessThanOrEqual(4);

    isReplaced = true;
    await expect.poll(() => [...bad.intake.reasons.keys()], patient).toEqual([]);
    expect(bad.told.map(([hold, why]) => [hold, why === null])).toEqual([
      ["token", false],
      ["token", true],
    ]);
    expect(await pool.queues.convert.getFailedCount()).toBe(0);
  });
});

describe("a Modal that cannot be reached", () => {
  it("pauses the whole pool, which goes on when it is back", async () => {
    await using pool = openPool();
    let isAway = true;
    const see = () => (isAway ? ("MODAL_UNAVAILABLE" as const) : null);
    const [first, second] = [pool.worker("a", see), pool.worker("b", see)];
    await pool.add(1);
    await expect
      .poll(() => [first.intake.reasons.has("pool"), second.intake.reasons.has("pool")], patient)
      .toEqual([true, true]);
    expect(await pool.pause.read()).toMatchObject({ code: "MODAL_UNAVAILABLE", message: "as the test says" });
    const { length } = pool.taken;
    await pool.add(10);
    isAway = false;
    await expect.poll(pool.completed, patient).toBe(11);
    expect(await pool.pause.read()).toBeNull();
    expect(length).toBeLessThanOrEqual(3);
  });

  it("holds up only the worker whose network is down, when another one gets through", async () => {
    await using pool = openPool();
    const cut = pool.worker("cut", () => "MODAL_UNAVAILABLE");
    await pool.add(10);
    await expect.poll(() => cut.intake.reasons.has("unreachable"), patient).toBe(true);
    pool.worker("fine", () => null);
    await expect.poll(pool.completed, patient).toBe(10);
    expect(cut.intake.reasons.has("unreachable")).toBe(true);
  });

  it("is not believed by a worker that gets an answer at once: the job has to count its try", async () => {
    await using pool = openPool();
    const { watch, intake } = pool.worker("a", () => null);
    expect(await watch.report(new MirumojiError("MODAL_UNAVAILABLE", "only this request"))).toBe(false);
    expect(intake.reasons.size).toBe(0);
    expect(await pool.pause.read()).toBeNull();
  });
});

describe("a quota", () => {
  it("pauses the whole pool for as long as Modal asks", async () => {
    await using pool = openPool();
    let isThrottled = true;
    const see = () => {
      const code = isThrottled ? ("MODAL_THROTTLED" as const) : null;
      isThrottled = false;
      return code;
    };
    pool.worker("a", see);
    await pool.add(1);
    await expect.poll(async () => (await pool.pause.read())?.code, patient).toBe("MODAL_THROTTLED");
    const other = pool.worker("b", see);
    await expect.poll(() => other.intake.reasons.has("pool"), patient).toBe(true);
    await pool.add(5);
    await expect.poll(pool.completed, patient).toBe(6);
    const [throttled, ...others] = pool.taken.toSorted((one, two) => one.at - two.at);
    // The second worker may have taken the job that was handed back before it heard of the pause.
    for (const { at } of others.slice(1)) expect(at - (throttled?.at ?? 0)).toBeGreaterThan(1400);
  });
});
