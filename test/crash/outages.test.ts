import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { JOB_TYPES } from "../../src/job/contract.ts";
import { DEFAULT_SETTINGS, IS_LONG, openRig, type Rig } from "../helpers/crash/rig.ts";
import type { Scene } from "../helpers/crash/scene.ts";
import { startTcpProxy, type TcpProxy } from "../helpers/crash/tcp-proxy.ts";
import { eventsOf } from "../helpers/crash/worker-log.ts";

/** Calls of so many lengths that every state has jobs in it when something breaks. */
const CALL_SECONDS = [0, 0.5, 1, 2, 4];
const SHORT = { words: "", env: {} };
const DEFAULT = { words: ", default settings", env: DEFAULT_SETTINGS };
const OUTAGES = IS_LONG
  ? [SHORT, DEFAULT].flatMap((settings) => [1, 10, 40].map((seconds) => ({ seconds, ...settings })))
  : [{ seconds: 1, ...SHORT }];
const BROKEN_BLOCKS = IS_LONG
  ? (["drop", "short", "wrong-bytes", "500", "503", "403"] as const)
  : (["drop", "wrong-bytes"] as const);
const LONGER_THAN_THE_LEASE_MS = 3500;
const MEBIBYTE = 2 ** 20;

let rig: Rig;
beforeAll(async () => {
  rig = await openRig({ maxConcurrentCalls: 4 });
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

describe("a service that dies", { timeout: 300_000 }, () => {
  it.each(OUTAGES)("Redis, back from its file after $seconds s$words: every job goes on", async (outage) => {
    const { seconds, words, env } = outage;
    await using scene = await rig.scene(`Redis away for ${seconds} s${words}`);
    await scene.worker(env);
    await fill(scene);
    await busy(scene);
    await rig.redis.kill();
    await sleep(seconds * 1000);
    await rig.redis.start();
    await scene.expectAllWell({
      cases: [{ name: scene.name, jobs: scene.jobs, backAt: Date.now() }],
    });
  });

  it("the GPU host, killed and started again: every job goes on", async () => {
    await using scene = await rig.scene("GPU host away for 1 s");
    await scene.worker();
    await fill(scene);
    await busy(scene);
    await rig.host.kill();
    await sleep(1000);
    await rig.host.start();
    await scene.expectAllWell({
      cases: [{ name: "GPU host away for 1 s", jobs: scene.jobs, backAt: Date.now() }],
      // The functions that ran on it died with it.
      mostCalls: 2,
    });
  });
});

describe("a wire", { timeout: 300_000 }, () => {
  it("from worker to Redis that is cut, slow and dead for longer than the lease", async () => {
    await using proxy = await startTcpProxy(rig.redis.port);
    await using scene = await rig.scene("worker - Redis cut, slow, dead");
    // The second worker has a good wire, and takes over what the first one loses.
    await Promise.all([scene.worker({ REDIS_URL: `redis://127.0.0.1:${proxy.port}` }), scene.worker()]);
    await fill(scene);
    await busy(scene);
    await torment(proxy);
    await scene.expectAllWell();
  });

  it("from worker to Redis that is dead: a stop does not wait for it, and the jobs go on elsewhere", async () => {
    await using proxy = await startTcpProxy(rig.redis.port);
    await using scene = await rig.scene("SIGTERM while Redis is silent");
    const leaving = await scene.worker({ REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
    for (const type of JOB_TYPES) await scene.submit(type, { callSeconds: 1 });
    await busy(scene);
    proxy.blackHole();
    const askedAt = Date.now();
    expect(await leaving.kill("SIGTERM")).toBe(0);
    expect(Date.now() - askedAt).toBeLessThan(10_000);
    expect(leaving.log()).toContain("Redis does not answer");
    await scene.worker();
    await scene.expectAllWell();
  });

  it("from worker to GPU host that is cut, slow and dead for a while", async () => {
    await using proxy = await startTcpProxy(rig.host.port);
    await using scene = await rig.scene("worker - GPU host cut, slow, dead");
    await scene.worker({ MODAL_SERVER_URL: `http://127.0.0.1:${proxy.port}` });
    await fill(scene);
    await busy(scene);
    await torment(proxy);
    await scene.expectAllWell();
  });

  it("from worker to GPU host that is slow: a clean stop waits for volumes that are being made", async () => {
    await using proxy = await startTcpProxy(rig.host.port);
    await using scene = await rig.scene("SIGTERM while volumes are made");
    const leaving = await scene.worker({ MODAL_SERVER_URL: `http://127.0.0.1:${proxy.port}` });
    const made = async () => (await rig.host.stats()).volumes.created;
    const created = await made();
    proxy.delay(1000);
    for (const type of JOB_TYPES) await scene.submit(type);
    const { length } = scene.jobs;
    // Made, and the answers are on their way.
    await expect.poll(made, { timeout: 30_000, interval: 20 }).toBe(created + length);
    expect(eventsOf(leaving, "job.moved")).toEqual([]);
    expect(await leaving.kill("SIGTERM")).toBe(0);
    expect(eventsOf(leaving, "job.moved").map(({ volumeId }) => typeof volumeId)).toEqual([
      "string",
      "string",
    ]);
    await scene.worker();
    await scene.expectAllWell({ mostAttempts: 1 });
    expect(await made()).toBe(created + length);
  });

  it.each(BROKEN_BLOCKS)(
    "that fails in the middle of blocks (%s): what arrives is right",
    async (behaviour) => {
      await using scene = await rig.scene(`blocks: ${behaviour}`);
      await scene.worker();
      await rig.host.order({ block: "PUT", behaviour, times: 2 });
      await rig.host.order({ block: "GET", behaviour, times: 2 });
      for (const type of JOB_TYPES) await scene.submit(type, { extraBytes: 20 * MEBIBYTE });
      await scene.expectAllWell();
      await rig.host.clearFaults();
    },
  );
});

async function torment(proxy: TcpProxy): Promise<void> {
  for (let cut = 0; cut < 3; cut++) {
    proxy.cut();
    await sleep(300);
  }
  proxy.delay(200);
  await sleep(1000);
  proxy.blackHole();
  await sleep(LONGER_THAN_THE_LEASE_MS);
  proxy.heal();
}

/** A job of each type for every length of call. */
async function fill(scene: Scene): Promise<void> {
  for (const callSeconds of CALL_SECONDS)
    for (const type of JOB_TYPES) await scene.submit(type, { callSeconds });
}

/** Waits until one job waits for its call, so that others are before and after that. */
async function busy(scene: Scene): Promise<void> {
  await Promise.race(scene.jobs.map(async (job) => await scene.seen(job, ({ state }) => state === "call")));
}
