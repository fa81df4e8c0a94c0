import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Fault } from "../../src/gpu-host/faults.ts";
import { JOB_TYPES } from "../../src/job/contract.ts";
import type { WorkerProcess } from "../../support/stack.ts";
import { DEFAULT_SETTINGS, IS_LONG, openRig, type Rig } from "../helpers/crash/rig.ts";
import type { Scene } from "../helpers/crash/scene.ts";
import { eventsOf } from "../helpers/crash/worker-log.ts";

/** States, with a way to keep jobs in each for a while. */
const STATES = {
  upload: { fault: { rpc: "VolumePutFiles2", latencyMs: 4000 }, callSeconds: 0.1 },
  call: { fault: null, callSeconds: 5 },
  download: { fault: { rpc: "VolumeGetFile2", latencyMs: 4000 }, callSeconds: 0.1 },
} satisfies Record<string, { fault: Fault | null; callSeconds: number }>;
const CASES = Object.entries(STATES).map(([state, how]) => [state, how] as const);
const SETTINGS: readonly (readonly [words: string, env: Record<string, string>])[] = [
  ["short leases", {}],
  ["default settings", DEFAULT_SETTINGS],
];
/** Bound of recovery with the default settings. */
const TAKEN_OVER_WITHIN_SECONDS = 30;
/** Handing over takes a round trip; the rest allows for a busy machine. */
const HANDED_OVER_WITHIN_SECONDS = 5;

describe.runIf(IS_LONG)(
  "how long nobody works on a job when another worker is there",
  { timeout: 120_000 },
  () => {
    let rig: Rig;
    beforeAll(async () => {
      rig = await openRig();
    });
    afterAll(async () => {
      await rig[Symbol.asyncDispose]();
    });

    describe.each(SETTINGS)("with %s", (words, env) => {
      it.each(CASES)("after SIGKILL in %s", async (state, how) => {
        await using scene = await rig.scene(`SIGKILL in ${state}, ${words}`);
        const victim = await ownerIn({ rig, scene, state, env, ...how });
        await victim.kill("SIGKILL");
        const diedAt = Date.now();
        await rig.host.clearFaults();
        await finish(scene, victim, diedAt, TAKEN_OVER_WITHIN_SECONDS);
      });

      it.each(CASES)("after a clean stop in %s", async (state, how) => {
        await using scene = await rig.scene(`clean stop in ${state}, ${words}`);
        const victim = await ownerIn({ rig, scene, state, env, ...how });
        const askedAt = Date.now();
        expect(await victim.kill("SIGTERM"), victim.log()).toBe(0);
        await rig.host.clearFaults();
        await finish(scene, victim, askedAt, HANDED_OVER_WITHIN_SECONDS, 1);
      });
    });
  },
);

describe("a worker that dies while it registers the functions", { timeout: 120_000 }, () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await openRig();
  });
  afterAll(async () => {
    await rig[Symbol.asyncDispose]();
  });

  it.each(SETTINGS.slice(0, IS_LONG ? 2 : 1))(
    "holds up the others no longer than a job that it had, with %s",
    async (words, env) => {
      await using scene = await rig.scene(`SIGKILL while functions are registered, ${words}`);
      await rig.host.order({ rpc: "FunctionPrecreate", latencyMs: 60_000 });
      const victim = await scene.worker(env);
      for (const type of JOB_TYPES) await scene.submit(type);
      for (const job of scene.jobs) await scene.seen(job, ({ state }) => state === "call");
      await scene.worker(env);
      await victim.kill("SIGKILL");
      const backAt = Date.now();
      await rig.host.clearFaults();
      const cases = [{ name: scene.name, jobs: scene.jobs, backAt }];
      const [row] = await scene.expectAllWell({ cases });
      const seconds = row?.recoverySeconds ?? Infinity;
      expect(seconds).toBeLessThan(words === "short leases" ? 15 : TAKEN_OVER_WITHIN_SECONDS);
    },
  );
});

/** Two workers, and a job of each type in the state; the worker that has the first of them. */
async function ownerIn({
  rig,
  scene,
  state,
  env,
  fault,
  callSeconds,
}: (typeof STATES)[keyof typeof STATES] & {
  rig: Rig;
  scene: Scene;
  state: string;
  env: Record<string, string>;
}): Promise<WorkerProcess> {
  const workers = await Promise.all([scene.worker(env), scene.worker(env)]);
  if (fault !== null) await rig.host.order(fault);
  for (const type of JOB_TYPES) await scene.submit(type, { callSeconds });
  for (const job of scene.jobs) await scene.seen(job, (view) => view.state === state);
  if (state === "call") for (const job of scene.jobs) await scene.callIs(job);
  const [first] = scene.jobs;
  const owner = workers.find((worker) =>
    eventsOf(worker, "job.started").some(({ jobId }) => jobId === first?.id),
  );
  if (owner === undefined) throw new Error("nobody has the job");
  return owner;
}

async function finish(
  scene: Scene,
  victim: WorkerProcess,
  diedAt: number,
  withinSeconds: number,
  mostAttempts = Infinity,
): Promise<void> {
  const jobs = scene.takenBy(victim);
  const [row] = await scene.expectAllWell({ cases: [{ name: scene.name, jobs, diedAt }], mostAttempts });
  expect(row?.recoverySeconds ?? Infinity).toBeLessThan(withinSeconds);
}
