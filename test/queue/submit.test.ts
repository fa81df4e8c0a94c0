import type { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Jobs } from "../../src/client/contract.ts";
import { connectRedis } from "../../src/queue/connection.ts";
import { createRedisJobs } from "../../src/queue/redis-jobs.ts";
import { QUEUED_SUMMARY } from "../../src/job/summary.ts";
import { createLease } from "../../src/queue/lease.ts";
import { jobKeys } from "../../src/queue/keys.ts";
import { closeQueues, openQueues, type Queues, RETENTION } from "../../src/queue/queues.ts";
import { randomPrefix, testRedis } from "../../support/redis.ts";

let server: Awaited<ReturnType<typeof testRedis>>;
let redis: Redis;
let queues: Queues;
const prefix = randomPrefix();
beforeAll(async () => {
  server = await testRedis();
  redis = connectRedis(server.url);
  queues = openQueues(redis, prefix);
  shared = createRedisJobs(redis, queues, prefix);
});
afterAll(async () => {
  await closeQueues(queues);
  redis.disconnect();
  await server[Symbol.asyncDispose]();
});

let shared: Jobs;
const jobs = () => shared;
const input = "film.mkv";
const code = (error: unknown) => Reflect.get(error as object, "code") as unknown;

describe("a submit", () => {
  it("writes what its caller gave, so that defaults are those of the worker", async () => {
    const { id } = await jobs().submit("transcribe", { input, language: "en" });
    const data = await redis.hget(jobKeys(prefix, "transcribe", id).job, "data");
    expect(JSON.parse(data ?? "")).toEqual({ v: 1, input, language: "en" });
  });
});

describe("an idempotency key", () => {
  it("is one type's when both come at the same moment, and the other gets its conflict", async () => {
    for (let round = 0; round < 20; round += 1) {
      const options = { idempotencyKey: `both-${round}` };
      const ends = await Promise.allSettled([
        jobs().submit("transcribe", { input }, options),
        jobs().submit("convert", { input }, options),
      ]);
      const refused = ends.flatMap((end) => (end.status === "rejected" ? [code(end.reason)] : []));
      expect(refused).toEqual(["IDEMPOTENCY_CONFLICT"]);
      const [accepted] = ends.flatMap((end) => (end.status === "fulfilled" ? [end.value] : []));
      const ids = await Promise.all(
        (["transcribe", "convert"] as const).map(
          async (type) => await redis.exists(jobKeys(prefix, type, accepted?.id ?? "").job),
        ),
      );
      expect(ids.reduce((sum, found) => sum + found, 0)).toBe(1);
    }
  });

  it("makes one job of many submits at the same moment", async () => {
    const answers = await Promise.all(
      Array.from(
        { length: 20 },
        async () => await jobs().submit("convert", { input }, { idempotencyKey: "many" }),
      ),
    );
    expect(new Set(answers.map(({ id }) => id)).size).toBe(1);
    expect(answers.filter(({ created }) => created)).toHaveLength(1);
  });

  it("takes a request with its defaults for the same one", async () => {
    const options = { idempotencyKey: "defaults" };
    await jobs().submit("convert", { input }, options);
    const again = await jobs().submit("convert", { preset: "balanced", input }, options);
    expect(again.created).toBe(false);
    const other = jobs().submit("convert", { input, preset: "quality" }, options);
    await expect(other).rejects.toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
  });

  it("outlives its job's record, but not its removal on request", async () => {
    const options = { idempotencyKey: "gone" };
    const { id } = await jobs().submit("convert", { input }, options);
    await (await queues.convert.getJob(id))?.remove();
    expect(await jobs().submit("convert", { input }, options)).toMatchObject({ id, created: false });
    expect(await redis.exists(jobKeys(prefix, "convert", id).job)).toBe(0);
    const lease = createLease(redis, { prefix, queue: "convert", jobId: id, token: "t" });
    const ended = { ...QUEUED_SUMMARY, state: "completed", status: "completed" } as const;
    await lease.settle({ volumeId: null, summary: ended, log: "" });
    expect(await jobs().get(id)).toMatchObject({ id, type: "convert", status: "completed" });
    const wrong = jobs().submit("transcribe", { input }, options);
    await expect(wrong).rejects.toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
  });

  it("adds the job that a submitter who died had not added yet", async () => {
    const options = { idempotencyKey: "died" };
    const { id } = await jobs().submit("convert", { input }, options);
    await (await queues.convert.getJob(id))?.remove();
    await redis.hdel(`${prefix}:once:${id}`, "addedAt");
    await jobs().submit("convert", { input }, options);
    expect(await redis.exists(jobKeys(prefix, "convert", id).job)).toBe(1);
  });
});

it("ended jobs are kept by age, however many there are of a batch", () => {
  expect(RETENTION.removeOnComplete).toMatchObject({ age: 7 * 24 * 3600 });
  expect(RETENTION.removeOnComplete.count).toBeGreaterThanOrEqual(1_000_000);
});
