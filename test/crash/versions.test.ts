import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { JOB_TYPES } from "../../src/job/contract.ts";
import { isFinal } from "../../src/job/summary.ts";
import { testFolder } from "../../support/folder.ts";
import { buildCommit, hasCommit } from "../helpers/crash/old-version.ts";
import { openRig, type Rig } from "../helpers/crash/rig.ts";

/** Commit whose workers run beside these: the state before records of several versions were told apart. */
const OLD = "6c3460a";
const isThere = hasCommit(OLD);
if (!isThere) console.warn(`two versions at once are not tested: the history here does not reach ${OLD}`);

describe.runIf(isThere)("workers of two versions on one queue", { timeout: 180_000 }, () => {
  let rig: Rig;
  let folder: Awaited<ReturnType<typeof testFolder>>;
  let old: string;
  beforeAll(async () => {
    folder = await testFolder();
    [rig, old] = await Promise.all([openRig(), buildCommit(OLD, folder.path)]);
  });
  afterAll(async () => {
    await rig[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  it.each(["rollout", "rollback"])("take over each other's jobs in a %s, with kills", async (direction) => {
    await using scene = await rig.scene(`two versions, ${direction}`);
    const start = async (isOld: boolean) => await scene.worker({}, isOld ? old : undefined);
    const isOldFirst = direction === "rollout";
    const before = await start(isOldFirst);
    for (const type of JOB_TYPES)
      for (const seconds of [1, 3]) await scene.submit(type, { callSeconds: seconds });
    const [first] = scene.jobs;
    if (first !== undefined) await scene.callIs(first);
    const after = await start(!isOldFirst);
    await before.kill("SIGKILL");
    for (const type of JOB_TYPES) await scene.submit(type);
    // And once the other way: the version that was there first goes on with what the other one began.
    const [, second] = scene.jobs;
    if (second !== undefined) await scene.seen(second, ({ status }) => status !== "queued");
    const again = await start(isOldFirst);
    await after.kill("SIGKILL");
    if (isOldFirst) {
      // The rollout ends: old workers leave turns, which the newer one ends once it leads.
      await Promise.all(
        scene.jobs.map(async (job) => await scene.seen(job, ({ status }) => isFinal(status))),
      );
      await start(false);
      await again.kill("SIGTERM");
    }
    const [row] = await scene.expectAllWell();
    expect(row).toMatchObject({ runs: 6, completed: 6, callsStarted: 6, volumesLeft: 0 });
  });
});
