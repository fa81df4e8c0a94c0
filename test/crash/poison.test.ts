import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { jobKeys } from "../../src/queue/keys.ts";
import { openRig, type Rig } from "../helpers/crash/rig.ts";

/** Twelve heartbeats of a worker. */
const VOLUME_TTL_MS = 6000;

let rig: Rig;
let redis: Redis;
beforeAll(async () => {
  rig = await openRig({ maxConcurrentCalls: 4, volumeTtlMs: VOLUME_TTL_MS });
  redis = new Redis(rig.redis.url);
});
afterAll(async () => {
  redis.disconnect();
  await rig[Symbol.asyncDispose]();
});

const GARBAGE = [
  "",
  "{",
  "null",
  "[]",
  '["convert"]',
  "[1,2]",
  "\0\uFFFD",
  "[".repeat(50_000),
  "x".repeat(300_000),
];
/** Fields of jobs as another program may leave them. */
const BAD_JOBS: Record<string, Record<string, string>> = {
  "opts-no-json": { opts: "{no json" },
  "opts-null": { opts: "null" },
  "opts-list": { opts: "[1]" },
  "opts-wrong": { opts: '{"removeOnFail":{"age":"x"},"backoff":"?","parent":7,"de":3,"attempts":"many"}' },
  "data-no-json": { data: "{no json" },
  "progress-no-json": { progress: "{" },
  "parent-no-json": { parent: "{", parentKey: "x" },
  "repeat-of-nothing": { rjk: "nightly" },
  "counts-no-numbers": { stc: "x", ats: "-", atm: "1e9", timestamp: "soon", delay: "?", priority: "?" },
};

describe("poison", { timeout: 120_000 }, () => {
  it("of every kind at once costs innocent jobs nothing, and what is poisoned ends", async () => {
    await using scene = await rig.scene("messages and records that cannot be read");
    const put = async (type: string, id: string, fields: Record<string, string>) => {
      const sound = {
        name: type,
        data: '{"v":1,"input":"missing.mkv"}',
        opts: "{}",
        timestamp: String(Date.now()),
      };
      await redis.hset(jobKeys(scene.prefix, type, id).job, { ...sound, ...fields });
      await redis.lpush(`${scene.prefix}:${type}:wait`, id);
    };
    const bad = Object.entries(BAD_JOBS).flatMap(([id, fields]) =>
      ["transcribe", "convert"].map((type) => ({ type, id: `${type}-${id}`, fields })),
    );
    for (const { type, id, fields } of bad) await put(type, id, fields);
    // A name in the list without a job, and one whose key is something else.
    await redis.lpush(`${scene.prefix}:convert:wait`, "nothing");
    await redis.set(jobKeys(scene.prefix, "convert", "a-text").job, "no hash");
    await redis.lpush(`${scene.prefix}:convert:wait`, "a-text");
    const client = await scene.client();
    expect((await client.list({ limit: 100 })).length).toBeGreaterThanOrEqual(bad.length - 2);
    const ledger = jobKeys(scene.prefix, "convert", "").ledger;
    await redis.hset(ledger, { "vo-ghost": "{no json", "vo-list": "[]", "vo-empty": "" });
    await redis.rpush(`${scene.prefix}:ended`, ...GARBAGE);
    await redis.set(`${scene.prefix}:app`, "{no json");

    const workers = await Promise.all([scene.worker(), scene.worker()]);
    const pids = workers.map(({ child }) => child.pid);
    for (const type of ["transcribe", "convert"] as const) await scene.submit(type, { callSeconds: 2 });
    for (const job of scene.jobs) await scene.callIs(job);
    const from = Date.now();
    while (Date.now() - from < VOLUME_TTL_MS) {
      for (const text of GARBAGE) await redis.publish(`${scene.prefix}:cancel`, text);
      await client.list({ limit: 100 });
    }
    for (const { id } of bad) {
      const view = await client.wait(id, { timeoutMs: 30_000 });
      expect(view.status, id).toBe("failed");
    }
    for (const { child } of workers) expect(child.exitCode ?? child.signalCode).toBe(null);
    expect(workers.map(({ child }) => child.pid)).toEqual(pids);
    const metrics = await Promise.all(
      workers.map(async ({ ready }) => await (await fetch(`${ready.apiUrl}/metrics`)).text()),
    );
    expect(metrics[0]).toContain("mirumoji_live_volumes_unreadable 3");
    for (const kind of ["cancel", "ledger", "ended", "job"]) {
      const counted = new RegExp(`mirumoji_unreadable_records_total\\{record="${kind}"\\} [1-9]`, "u");
      expect(
        metrics.some((text) => counted.test(text)),
        kind,
      ).toBe(true);
    }
    // Said once for each record, however often it was met.
    expect(
      scene.logs().match(/cannot be read, and is kept, or repaired where that can be done: cancel/gu)?.length,
    ).toBeLessThanOrEqual(2);
    const reaped = await scene.command("reap", "--dry-run");
    expect(reaped.stderr).toContain("vo-ghost: its entry in the ledger cannot be read");
    await redis.hdel(ledger, "vo-ghost", "vo-list", "vo-empty");
    // Nothing but what this test put there itself, in forms that we do not write, is left of them.
    for (const { type, id } of [
      ...bad,
      { type: "convert", id: "nothing" },
      { type: "convert", id: "a-text" },
    ]) {
      const { job, logs } = jobKeys(scene.prefix, type, id);
      await redis.del(job, logs);
      await redis.zrem(`${scene.prefix}:jobs`, `${type}:${id}`);
    }
    await scene.expectAllWell();
  });
});
