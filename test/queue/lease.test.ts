import type { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { firstCheckpoint, withEndedCall } from "../../src/job/checkpoint.ts";
import { QUEUED_SUMMARY } from "../../src/job/summary.ts";
import { connectRedis } from "../../src/queue/connection.ts";
import { pruneExpenses, readExpenses } from "../../src/queue/expenses.ts";
import { jobKeys } from "../../src/queue/keys.ts";
import { createLease, type Lease } from "../../src/queue/lease.ts";
import { openLedger } from "../../src/queue/ledger.ts";
import { openQueues } from "../../src/queue/queues.ts";
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

const entry = { queue: "transcribe", jobId: "j1", createdAt: 1, callId: null, appId: null };

async function setup() {
  const prefix = randomPrefix();
  const keys = jobKeys(prefix, "transcribe", "j1");
  const leaseOf = (token: string) => createLease(redis, { prefix, queue: "transcribe", jobId: "j1", token });
  await redis.hset(keys.job, "name", "transcribe");
  await redis.set(keys.lock, "mine");
  return { prefix, keys, leaseOf, ledger: openLedger(redis, openQueues(redis, prefix), prefix) };
}

describe("commit", () => {
  it("writes checkpoint, ledger, summary and log in one go", async () => {
    const { keys, leaseOf, ledger } = await setup();
    const checkpoint = firstCheckpoint(5, 0);
    const written = await leaseOf("mine").commit({
      checkpoint,
      ledger: { volumeId: "vo-1", entry },
      summary: QUEUED_SUMMARY,
      log: "a line",
    });
    expect(written).toBe("written");
    expect(JSON.parse((await leaseOf("mine").load()).record ?? "")).toEqual(checkpoint);
    expect(await ledger.list()).toEqual([{ volumeId: "vo-1", ...entry }]);
    expect(JSON.parse((await redis.hget(keys.job, "progress")) ?? "")).toEqual(QUEUED_SUMMARY);
    expect(await redis.lrange(keys.logs, 0, -1)).toEqual(["a line"]);
    expect(await redis.xlen(keys.events)).toBe(1);
    expect(await redis.pttl(keys.checkpoint)).toBeGreaterThan(24 * 3600 * 1000);
  });

  it("books a call's end with its day, type and tenant, once", async () => {
    const { prefix, keys, leaseOf } = await setup();
    await redis.hset(keys.job, "data", JSON.stringify({ tenant: "acme" }));
    const call = {
      callId: "fc-1",
      outcome: "succeeded" as const,
      waitSeconds: 1,
      seconds: 2.5,
      gpu: "T4",
      usd: 0.0000125,
      pricesAsOf: "2026-05-07",
      usdPerSecond: null,
      parts: null,
    };
    const start = firstCheckpoint(5, 0);
    const write = { checkpoint: withEndedCall(start, call), spend: call };
    expect(await leaseOf("stale").commit(write)).toBe("refused");
    // The answer of the first write was lost, so it is made again.
    for (let n = 0; n < 2; n++) expect(await leaseOf("mine").commit(write)).toBe("written");
    const second = { ...call, callId: "fc-10", outcome: "failed" as const, usd: null };
    const both = { checkpoint: withEndedCall(write.checkpoint, second), spend: second };
    expect(await leaseOf("mine").commit(both)).toBe("written");
    const today = new Date().toISOString().slice(0, 10);
    expect(await readExpenses(redis, prefix, today)).toEqual([
      { day: today, type: "transcribe", tenant: "acme", calls: 2, gpuSeconds: 5, usd: 0.000013 },
    ]);
    expect(await readExpenses(redis, prefix, "9999-01-01")).toEqual([]);
    await pruneExpenses(redis, prefix, Date.now() + 399 * 86_400_000);
    expect(await readExpenses(redis, prefix, today)).toHaveLength(1);
    await pruneExpenses(redis, prefix, Date.now() + 402 * 86_400_000);
    expect(await readExpenses(redis, prefix, today)).toEqual([]);
  });

  it("claims outputs for one live job at a time, all or none, until it ends", async () => {
    const { prefix, keys, leaseOf, ledger } = await setup();
    const other = createLease(redis, { prefix, queue: "convert", jobId: "j2", token: "other" });
    const otherKeys = jobKeys(prefix, "convert", "j2");
    await redis.hset(otherKeys.job, "name", "convert");
    await redis.set(otherKeys.lock, "other");
    const claim = async (lease: typeof other, ...targets: string[]) =>
      await lease.commit({ checkpoint: firstCheckpoint(5, 0), targets });
    expect(await claim(leaseOf("mine"), "a.srt", "b.srt")).toBe("written");
    expect(await claim(leaseOf("mine"), "a.srt", "b.srt")).toBe("written");
    expect(await claim(other, "c.srt", "b.srt")).toBe("claimed j1");
    expect(await redis.hgetall(keys.claims)).toEqual({ "a.srt": "transcribe:j1", "b.srt": "transcribe:j1" });
    expect(await redis.exists(otherKeys.checkpoint)).toBe(0);
    expect(await claim(leaseOf("stale"), "d.srt")).toBe("refused");
    // A job that is over, or was removed by hand, has no claim, even if nobody cleared it.
    await redis.zadd(`${prefix}:transcribe:failed`, 1, "j1");
    expect(await claim(other, "b.srt")).toBe("written");
    await redis.del(keys.job);
    expect(await claim(other, "a.srt")).toBe("written");
    const end = { volumeId: null, summary: QUEUED_SUMMARY, log: "end", targets: ["a.srt", "b.srt"] };
    await redis.del(keys.lock);
    await leaseOf("mine").settle(end);
    expect(Object.keys(await redis.hgetall(keys.claims)).toSorted()).toEqual(["a.srt", "b.srt"]);
    await redis.del(otherKeys.lock);
    await other.settle({ ...end, targets: ["a.srt"] });
    expect(await redis.hgetall(keys.claims)).toEqual({ "b.srt": "convert:j2" });
    await ledger.strike({ ...entry, queue: "convert", jobId: "j2", volumeId: "vo-9" }, "job finished");
    expect(await redis.exists(keys.claims)).toBe(0);
  });

  it("is refused whole for a worker that does not hold the lease", async () => {
    const { prefix, leaseOf } = await setup();
    await leaseOf("mine").commit({ checkpoint: firstCheckpoint(5, 0) });
    const before = await snapshot(prefix);
    const stale = {
      checkpoint: firstCheckpoint(9, 0),
      ledger: { volumeId: "vo-2", entry },
      summary: QUEUED_SUMMARY,
      log: "x",
    };
    expect(await leaseOf("stale").commit(stale)).toBe("refused");
    await redis.del(jobKeys(prefix, "transcribe", "j1").lock);
    expect(await leaseOf("mine").commit(stale)).toBe("refused");
    const after = await snapshot(prefix);
    delete before[jobKeys(prefix, "transcribe", "j1").lock];
    expect(after).toEqual(before);
  });

  it("tells that somebody wants the job to stop", async () => {
    const { keys, leaseOf } = await setup();
    await redis.hset(keys.job, "cancelRequestedAt", "1");
    expect(await leaseOf("mine").commit({ checkpoint: firstCheckpoint(5, 0) })).toBe("cancelRequested");
    expect(await leaseOf("mine").load()).toMatchObject({ cancelRequested: true });
    await redis.del(keys.lock);
    await leaseOf("mine").settle({ volumeId: null, summary: QUEUED_SUMMARY, log: "done" });
    expect(await redis.hexists(keys.job, "cancelRequestedAt")).toBe(0);
  });

  it("never brings a removed job back to life", async () => {
    const { keys, leaseOf } = await setup();
    await redis.del(keys.job);
    await leaseOf("mine").commit({ summary: QUEUED_SUMMARY, log: "x" });
    expect(await redis.exists(keys.job, keys.logs)).toBe(0);
  });
});

describe("restate", () => {
  const at = (revision: number) => ({ ...firstCheckpoint(5, 0), revision });
  const stored = async (leaseOf: (token: string) => Lease) =>
    (JSON.parse((await leaseOf("mine").load()).record ?? "{}") as { revision?: number }).revision;

  it("writes again what Redis has forgotten, also when nobody has the job any more", async () => {
    const { keys, leaseOf, ledger } = await setup();
    const lease = leaseOf("mine");
    await lease.commit({ checkpoint: at(3), ledger: { volumeId: "vo-1", entry } });
    for (const forget of [
      async () => await redis.del(keys.checkpoint, keys.ledger),
      async () => await redis.hset(keys.checkpoint, "record", JSON.stringify(at(2))),
      async () => await redis.hset(keys.checkpoint, "record", "{ not JSON"),
      async () => await redis.del(keys.checkpoint, keys.ledger, keys.lock),
    ]) {
      await forget();
      await lease.restate();
      expect(await stored(leaseOf)).toBe(3);
      expect(await ledger.list()).toEqual([{ volumeId: "vo-1", ...entry }]);
    }
    // The next worker reads checkpoints of jobs that were taken before only.
    expect(await redis.hget(keys.job, "ats")).toBe("1");
  });

  it("is what whoever took the job next goes on from, unless that one has written already", async () => {
    const { keys, leaseOf, ledger } = await setup();
    const [first, next] = [leaseOf("mine"), leaseOf("next")];
    await first.commit({ checkpoint: at(1) });
    const copied = await redis.hgetall(keys.checkpoint);
    await first.commit({ checkpoint: at(2), ledger: { volumeId: "vo-1", entry } });
    // The replica that takes over has the first of these, and there another worker takes the job.
    const failOver = async () => {
      await redis.del(keys.checkpoint, keys.ledger);
      await redis.hset(keys.checkpoint, copied);
      await redis.set(keys.lock, "next");
    };
    await failOver();
    await first.restate();
    expect(await next.load()).toMatchObject({ record: JSON.stringify(at(2)) });
    expect(await next.commit({ checkpoint: at(3) })).toBe("written");
    // It had read before: its own work is not the job's, and it may not go on.
    await failOver();
    const late = leaseOf("next");
    await late.load();
    await redis.hset(keys.checkpoint, "writer", "whoever it was before");
    expect(await late.commit({ checkpoint: at(2) })).toBe("refused");
    // As many writes, but others': they stay, and the volume can be found and removed.
    await failOver();
    await next.load();
    await next.commit({ checkpoint: { ...at(2), attempt: 2 } });
    await first.restate();
    expect(await next.load()).toMatchObject({ record: JSON.stringify({ ...at(2), attempt: 2 }) });
    expect(await ledger.list()).toHaveLength(1);
  });

  it("writes nothing over what is as new, a newer version's, or of another life or worker", async () => {
    const { keys, leaseOf, ledger } = await setup();
    const lease = leaseOf("mine");
    await lease.commit({ checkpoint: at(3), ledger: { volumeId: "vo-1", entry } });
    for (const record of [at(4), { v: 3 }, { ...at(1), crashesSeen: 1 }]) {
      await redis.hset(keys.checkpoint, "record", JSON.stringify(record));
      await lease.restate();
      expect(JSON.parse((await redis.hget(keys.checkpoint, "record")) ?? "")).toEqual(record);
    }
    await redis.hset(keys.checkpoint, "record", JSON.stringify(at(1)));
    await redis.del(keys.ledger);
    await redis.hset(keys.checkpoint, "writer", "another's");
    await lease.restate();
    expect(await stored(leaseOf)).toBe(1);
    // It can be found and removed all the same.
    expect(await ledger.list()).toHaveLength(1);
    await redis.del(keys.ledger);
    await redis.hset(keys.checkpoint, "writer", "mine");
    await redis.hset(keys.job, "retriedAt", "7");
    await lease.restate();
    await redis.hdel(keys.job, "retriedAt");
    await redis.zadd(keys.failed, 1, "j1");
    await lease.restate();
    expect([await stored(leaseOf), await ledger.list()]).toEqual([1, []]);
  });
});

describe("settle", () => {
  it("clears the books and leaves the summary", async () => {
    const { keys, leaseOf, ledger } = await setup();
    await leaseOf("mine").commit({ checkpoint: firstCheckpoint(5, 0), ledger: { volumeId: "vo-1", entry } });
    await redis.del(keys.lock);
    await leaseOf("mine").settle({ volumeId: "vo-1", summary: QUEUED_SUMMARY, log: "done" });
    expect(await redis.exists(keys.checkpoint)).toBe(0);
    expect(await ledger.list()).toEqual([]);
  });

  it("touches nothing when somebody has taken the job again", async () => {
    const { keys, leaseOf, ledger } = await setup();
    await leaseOf("mine").commit({ checkpoint: firstCheckpoint(5, 0), ledger: { volumeId: "vo-1", entry } });
    await leaseOf("mine").settle({ volumeId: "vo-1", summary: QUEUED_SUMMARY, log: "done" });
    expect(await redis.exists(keys.checkpoint)).toBe(1);
    expect(await ledger.list()).toHaveLength(1);
  });
});

async function snapshot(prefix: string): Promise<Record<string, string>> {
  // BullMQ notes its version in a key of the queue whenever it gets round to it.
  const names = (await redis.keys(`${prefix}*`)).filter((name) => !name.endsWith(":meta"));
  const dumps = await Promise.all(
    names.map(async (name) => [name, (await redis.dumpBuffer(name)).toString("hex")]),
  );
  return Object.fromEntries(dumps) as Record<string, string>;
}
