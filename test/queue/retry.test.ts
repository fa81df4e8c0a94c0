import type { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { instantTools } from "../../support/instant-tools.ts";
import { type Checkpoint, firstCheckpoint, moved, unwound } from "../../src/job/checkpoint.ts";
import { connectRedis } from "../../src/queue/connection.ts";
import { Consumer } from "../../src/queue/consumer.ts";
import type { Delivery, DeliveryResult } from "../../src/queue/delivery.ts";
import { createRedisJobs } from "../../src/queue/redis-jobs.ts";
import { openLedger } from "../../src/queue/ledger.ts";
import { closeQueues, openQueues } from "../../src/queue/queues.ts";
import { MirumojiError } from "../../src/job/errors.ts";
import type { RunnerTools } from "../../src/runner/job-run.ts";
import { runJob } from "../../src/runner/run-job.ts";
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

const now = Date.now();
const uploading = moved(firstCheckpoint(now, 0), "upload", { volumeId: "vo-kept" }, now);
const undoing = unwound(
  uploading,
  { kind: "unwind", ending: "failed" },
  { code: "TRANSFER_FAILED", message: "it was not to be" },
  now,
);

describe("a job that failed and is given another life", () => {
  it.each([
    ["goes on where its checkpoint stands when its volume still lives", uploading, []],
    ["starts anew when what it had was undone", undoing, ["create"]],
  ])("%s", async (_, checkpoint, created) => {
    const prefix = randomPrefix();
    const queues = openQueues(redis, prefix);
    const jobs = createRedisJobs(redis, queues, prefix);
    const ledger = openLedger(redis, queues, prefix);
    const { id } = await jobs.submit("convert", { input: "film.mkv" });
    const runWith = async (handle: (delivery: Delivery) => Promise<DeliveryResult>, status: string) => {
      const consumer = new Consumer({
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
      await expect.poll(async () => (await jobs.get(id)).status, { timeout: 15_000 }).toBe(status);
      await consumer.stop();
    };
    await runWith(async (delivery) => await failWith(checkpoint, delivery), "failed");
    const [volume] = await ledger.list();
    // Until somebody retries it, what a failed job left is the reaper's, however it failed.
    expect(volume && (await ledger.leftoverReason(volume))).toBe("job finished");
    await jobs.retry(id);
    const effects: string[] = [];
    await runWith(async (delivery) => await runJob(delivery, watchedTools(effects)), "completed");
    expect(effects.filter((effect) => effect === "create")).toEqual(created);
    expect(effects.filter((effect) => effect.startsWith("put"))).toHaveLength(1);
    if (created.length === 0) expect(effects).toContain("put vo-kept");
    // A volume that the job does not know any more is the reaper's.
    const left = created.length === 0 ? [] : [{ volumeId: "vo-kept" }];
    expect(await ledger.list()).toMatchObject(left);
    await closeQueues(queues);
  });
});

describe("a job that failed after its call was paid for", () => {
  it("keeps volume and result for a while, and pays no second call when it is retried", async () => {
    const all = await failedAfterItsCall(60_000);
    const [volume] = await all.ledger.list();
    expect(volume && (await all.ledger.leftoverReason(volume))).toBeNull();
    expect((await all.jobs.get(all.id)).receipt).toMatchObject({ volumeDeleted: false });
    await all.jobs.retry(all.id);
    await all.run("completed");
    expect(all.effects).toEqual(["create", "put", "open", "write", "write", "delete"]);
    expect((await all.jobs.get(all.id)).receipt).toMatchObject({
      volumeDeleted: true,
      calls: [{ outcome: "succeeded" }],
    });
    expect(await all.ledger.list()).toEqual([]);
    await all.close();
  });

  it("keeps them no longer than it is told, and nothing without being told", async () => {
    const brief = await failedAfterItsCall(1);
    const [volume] = await brief.ledger.list();
    await expect.poll(async () => volume && (await brief.ledger.leftoverReason(volume))).toBe("job finished");
    await brief.jobs.retry(brief.id);
    await brief.run("completed");
    expect(brief.effects.filter((effect) => effect === "open")).toHaveLength(2);
    await brief.close();
    const nothing = await failedAfterItsCall(0);
    expect(nothing.effects).toEqual(["create", "put", "open", "write", "delete"]);
    expect(await nothing.ledger.list()).toEqual([]);
    await nothing.close();
  });
});

/** A job whose output was there already when its result came. */
async function failedAfterItsCall(keepFailedMs: number) {
  const prefix = randomPrefix();
  const queues = openQueues(redis, prefix);
  const jobs = createRedisJobs(redis, queues, prefix);
  const ledger = openLedger(redis, queues, prefix);
  const { id } = await jobs.submit("convert", { input: "film.mkv" });
  const effects: string[] = [];
  const tools = instantTools();
  const { volumes, calls, media } = tools;
  let writes = 0;
  const watched: RunnerTools = {
    ...tools,
    keepFailedMs,
    volumes: {
      ...volumes,
      create: async (options) => (effects.push("create"), await volumes.create(options)),
      putFile: async (options) => (effects.push("put"), await volumes.putFile(options)),
      delete: async (options) => (effects.push("delete"), await volumes.delete(options)),
    },
    calls: { ...calls, open: async (options) => (effects.push("open"), await calls.open(options)) },
    media: {
      ...media,
      writeOutputs: async (options) => {
        effects.push("write");
        writes += 1;
        if (writes === 1) throw new MirumojiError("OUTPUT_EXISTS", "it is there already");
        return await media.writeOutputs(options);
      },
    },
  };
  const run = async (status: string) => {
    const consumer = new Consumer({
      queue: queues.convert,
      redis,
      prefix,
      concurrency: 1,
      leaseMs: 5000,
      stalledIntervalMs: 5000,
      now: Date.now,
      onError: (error) => effects.push(String(error)),
      handle: async (delivery) => await runJob(delivery, watched),
    });
    await expect.poll(async () => (await jobs.get(id)).status, { timeout: 15_000 }).toBe(status);
    await consumer.stop();
  };
  await run("failed");
  return { id, jobs, ledger, effects, run, close: async () => await closeQueues(queues) };
}

/** Ends a job as one that died on the way to its books: its checkpoint and its volume are still in them. */
async function failWith(checkpoint: Checkpoint, { lease, queue, jobId }: Delivery): Promise<DeliveryResult> {
  await lease.commit({
    checkpoint,
    ledger: { volumeId: "vo-kept", entry: { queue, jobId, createdAt: 1, callId: null, appId: null } },
  });
  const settle = async () => await Promise.resolve();
  return { kind: "failed", code: "TRANSFER_FAILED", message: "it was not to be", settle };
}

function watchedTools(effects: string[]) {
  const tools = instantTools();
  const { volumes } = tools;
  return {
    ...tools,
    volumes: {
      ...volumes,
      create: async (options: Parameters<typeof volumes.create>[0]) => {
        effects.push("create");
        return await volumes.create(options);
      },
      putFile: async (options: Parameters<typeof volumes.putFile>[0]) => {
        effects.push(`put ${options.volumeId}`);
        return await volumes.putFile(options);
      },
    },
  };
}
