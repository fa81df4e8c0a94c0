import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { JOB_TYPES } from "../../src/job/contract.ts";
import { testFolder } from "../../support/folder.ts";
import type { WorkerProcess } from "../../support/stack.ts";
import { type FailoverRedis, startFailoverRedis } from "../helpers/crash/failover.ts";
import { IS_LONG, openRig, type Rig } from "../helpers/crash/rig.ts";
import type { Scene } from "../helpers/crash/scene.ts";

/** Each worker has one job of each type, which wait for each other at its point. */
const ONE_OF_EACH = { MIRUMOJI_TRANSCRIBE_CONCURRENCY: "1", MIRUMOJI_CONVERT_CONCURRENCY: "1" };
/** Before each checkpoint: it is written to a primary whose replica does not get it. */
const CHECKPOINTS = [
  "create:after",
  "put:after",
  "open:after",
  "poll:after",
  "outputs:after",
  "delete:after",
];
const ALL = [...CHECKPOINTS, "start:after", "delete:before", "settle:after"];
/** A lease outlives the failover, or does not. */
const LEASES = IS_LONG ? ["15", "2"] : ["15"];
/** Longer than the answers of the primary take, shorter than a lease. */
const WRITTEN_MS = 300;
/** Volumes that nobody sends heartbeats for are gone before a scene is over. */
const VOLUME_TTL_MS = 15_000;

let folder: Awaited<ReturnType<typeof testFolder>>;
let rig: Rig;
beforeAll(async () => {
  folder = await testFolder();
  rig = await openRig({ maxConcurrentCalls: 20, volumeTtlMs: VOLUME_TTL_MS });
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

let pairs = 0;
const startPair = async () => await startFailoverRedis(join(folder.path, `pair-${(pairs += 1)}`));

describe("a primary that is killed with what its replica does not have", { timeout: 200_000 }, () => {
  it.each(LEASES)("lease of %s s: workers say again what they know", async (lease) => {
    await using redis = await startPair();
    await using scene = await rig.scene(`primary killed, replica behind; lease of ${lease} s`, redis);
    // Where leases are short, few workers stand still together: those that wait for many others would lose theirs.
    const points = IS_LONG ? (lease === "15" ? ALL : ["create:after", "open:after"]) : ["create:after"];
    const workers = await frozenAt(scene, points, { MIRUMOJI_LEASE: lease });
    await loseAfterwards(redis, scene, workers);
    await redis.takenOver();
    const backAt = Date.now();
    const { expired } = (await rig.host.stats()).volumes;
    await scene.expectAllWell({ cases: [{ name: scene.name, jobs: scene.jobs, backAt }] });
    expect((await rig.host.stats()).volumes.expired).toBe(expired);
  });

  it("while the worker that had started calls stands still: they are found again, not paid again", async () => {
    await using redis = await startPair();
    await using scene = await rig.scene("primary killed, replica without calls that run", redis);
    // Nothing waits for the replica, as where there was none for a moment.
    const env = { MIRUMOJI_REDIS_REPLICAS: "0", MIRUMOJI_LEASE: "6" };
    const [frozen] = await frozenAt(scene, ["open:after"], env);
    await redis.lag();
    frozen?.child.kill("SIGCONT");
    await Promise.all(scene.jobs.map(async (job) => await scene.callIs(job, "succeeded")));
    frozen?.child.kill("SIGSTOP");
    const lost = await redis.leases(scene.jobs);
    await redis.kill();
    await redis.takenOver();
    await scene.worker({ ...ONE_OF_EACH, ...env });
    await expect
      .poll(
        async () => {
          const held = await redis.leases(scene.jobs);
          return held.every((token, index) => token !== null && token !== lost[index]);
        },
        { timeout: 20_000 },
      )
      .toBe(true);
    frozen?.child.kill("SIGCONT");
    await scene.expectAllWell({ cases: [{ name: scene.name, jobs: scene.jobs, backAt: Date.now() }] });
  });

  it("and with all workers: no call was started before a replica knew of it", async () => {
    await using redis = await startPair();
    await using scene = await rig.scene("primary and workers killed, replica behind", redis);
    const points = IS_LONG ? ALL : ["open:after"];
    const workers = await frozenAt(scene, points, { MIRUMOJI_REDIS_REPLICAS: "1", MIRUMOJI_LEASE: "6" });
    await loseAfterwards(redis, scene, workers);
    await Promise.all(workers.map(async (worker) => await worker.kill("SIGKILL")));
    await redis.takenOver();
    await scene.worker();
    await scene.expectAllWell({ cases: [{ name: scene.name, jobs: scene.jobs, backAt: Date.now() }] });
  });
});

describe("a Redis that takes no writes", { timeout: 200_000 }, () => {
  // Sentinels let the old primary take writes for 8 s more, all of which are lost.
  it.runIf(IS_LONG)("because another one became the primary: every job goes on there", async () => {
    await using redis = await startPair();
    await using scene = await rig.scene("primary demoted (READONLY)", redis);
    await busyWorker(scene);
    await redis.demote();
    await scene.expectAllWell({ cases: [{ name: scene.name, jobs: scene.jobs, backAt: Date.now() }] });
  });

  it.each(IS_LONG ? [1, 5, 20] : [1])("because it is full, for %i s: every job goes on", async (seconds) => {
    await using redis = await startPair();
    await using scene = await rig.scene(`Redis full (OOM) for ${seconds} s`, redis);
    await busyWorker(scene);
    await redis.configure("maxmemory", "1");
    await sleep(seconds * 1000);
    await redis.configure("maxmemory", "0");
    await scene.expectAllWell({ cases: [{ name: scene.name, jobs: scene.jobs, backAt: Date.now() }] });
  });
});

/** Workers that each stand still at a point, with two jobs. */
async function frozenAt(
  scene: Scene,
  points: readonly string[],
  env: Record<string, string>,
): Promise<WorkerProcess[]> {
  const workers = await Promise.all(
    points.map(
      async (point) => await scene.worker({ ...ONE_OF_EACH, ...env, FAULT_POINT: `${point}*2=stop` }),
    ),
  );
  for (const type of JOB_TYPES) for (const _worker of workers) await scene.submit(type);
  for (const worker of workers) {
    await expect.poll(() => worker.log(), { timeout: 30_000, interval: 10 }).toContain("reached: stop");
  }
  return workers;
}

/** The replica gets nothing more, they write their checkpoints, and the primary dies. */
async function loseAfterwards(
  redis: FailoverRedis,
  scene: Scene,
  workers: readonly WorkerProcess[],
): Promise<void> {
  await redis.lag();
  const before = await redis.checkpoints(scene.prefix);
  for (const worker of workers) worker.child.kill("SIGCONT");
  await sleep(WRITTEN_MS);
  await expect.poll(async () => await redis.checkpoints(scene.prefix)).not.toEqual(before);
  await redis.kill();
}

/** A worker with jobs in every state. */
async function busyWorker(scene: Scene): Promise<void> {
  await scene.worker();
  for (const callSeconds of [0, 0.5, 1, 2, 4])
    for (const type of JOB_TYPES) await scene.submit(type, { callSeconds });
  await Promise.race(scene.jobs.map(async (job) => await scene.seen(job, ({ state }) => state === "call")));
}
