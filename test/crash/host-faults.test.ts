import { afterAll, beforeAll, describe, it } from "vitest";
import type { Fault } from "../../src/gpu-host/faults.ts";
import { JOB_TYPES } from "../../src/job/contract.ts";
import { isFinal } from "../../src/job/summary.ts";
import { IS_LONG, openRig, type Rig } from "../helpers/crash/rig.ts";
import type { CrashJob, Scene } from "../helpers/crash/scene.ts";

/** RPCs of a job, in order. */
const JOB_RPCS = [
  "VolumeGetOrCreate VolumePutFiles2 VolumeListFiles2 FunctionMap FunctionPutInputs",
  "FunctionGetOutputs FunctionCallFromId AppGetLogs VolumeGetFile2 VolumeDelete",
  "VolumeHeartbeat AppHeartbeat",
].flatMap((names) => names.split(" "));
/** RPCs of registering the functions. */
const SETUP_RPCS = [
  "ClientHello AuthTokenGet AppCreate FunctionPrecreate ImageGetOrCreate MountGetOrCreate",
  "MountPutFile FunctionCreate AppPublish AppHeartbeat",
].flatMap((names) => names.split(" "));
/** Exceeds the SDK's own retries. */
const OFTEN = 5;
const KINDS: Record<string, (rpc: string) => Fault> = {
  refused: (rpc) => ({ rpc, code: "UNAVAILABLE", times: OFTEN }),
  "done, answer lost": (rpc) => ({ rpc, code: "UNAVAILABLE", times: OFTEN, lostAnswer: true }),
  "internal error": (rpc) => ({ rpc, code: "INTERNAL", times: 2 }),
  "done, internal error": (rpc) => ({ rpc, code: "INTERNAL", times: 2, lostAnswer: true }),
  throttled: (rpc) => ({ rpc, retryAfterSecs: 0.5, times: OFTEN }),
  "stream cut": (rpc) => ({ stream: rpc, cutAfter: 1, times: 2 }),
  slow: (rpc) => ({ rpc, latencyMs: 700 }),
};
/** RPCs that spend money or make a volume, with their answers lost. */
const DEAREST = ["VolumeGetOrCreate", "FunctionMap", "FunctionPutInputs"];
const CASES = IS_LONG
  ? Object.keys(KINDS).flatMap((kind) => JOB_RPCS.map((rpc) => [rpc, kind] as const))
  : DEAREST.map((rpc) => [rpc, "done, answer lost"] as const);

let rig: Rig;
let scene: Scene;
beforeAll(async () => {
  rig = await openRig();
  scene = await rig.scene("host faults");
  await scene.worker();
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

describe("a fault of the server", { timeout: 120_000 }, () => {
  it.each(CASES)("%s: %s", async (rpc, kind) => {
    const fault = KINDS[kind];
    if (fault === undefined) throw new Error(kind);
    await rig.host.order(fault(rpc));
    const jobs: CrashJob[] = [];
    for (const type of JOB_TYPES) jobs.push(await scene.submit(type));
    for (const job of jobs) await scene.seen(job, ({ status }) => isFinal(status));
    await rig.host.clearFaults();
    const mostUnanswered = rpc === "VolumeGetOrCreate" && kind.startsWith("done") ? jobs.length : 0;
    await scene.expectAllWell({ cases: [{ name: `${rpc} ${kind}`, jobs }], mostUnanswered });
  });

  it.runIf(IS_LONG).each(Object.keys(KINDS))("while functions are registered: %s", async (kind) => {
    for (const rpc of SETUP_RPCS) await rig.host.order(KINDS[kind]?.(rpc) ?? { kind: "refuse-empty-map" });
    await using fresh = await rig.scene(`registration ${kind}`);
    for (const type of JOB_TYPES) await fresh.submit(type);
    await fresh.worker();
    for (const job of fresh.jobs) await fresh.seen(job, ({ status }) => isFinal(status));
    await rig.host.clearFaults();
    await fresh.expectAllWell();
  });

  it.runIf(IS_LONG)("a map without input is refused", async () => {
    await rig.host.order({ kind: "refuse-empty-map" });
    const job = await scene.submit("convert");
    await scene.seen(job, ({ status }) => isFinal(status));
    await rig.host.clearFaults();
    await scene.expectAllWell({
      cases: [{ name: "map without input refused", jobs: [job] }],
    });
  });
});

describe("what vanishes under a running call", { timeout: 120_000 }, () => {
  const vanish = async (what: "volume" | "call" | "app", job: CrashJob): Promise<void> => {
    const { id, volumeId } = await scene.callIs(job);
    const [, appId = ""] = /"appId":"(ap-[^"]+)"/u.exec(scene.logs()) ?? [];
    if (what === "volume") await rig.host.order({ volume: "vanish", id: volumeId });
    else if (what === "call") await rig.host.order({ call: "lose", id });
    else await rig.host.order({ app: "vanish", id: appId });
  };
  it.each(IS_LONG ? (["volume", "call", "app"] as const) : (["volume"] as const))(
    "%s: is made again",
    async (what) => {
      const job = await scene.submit("convert", { callSeconds: 3 });
      await vanish(what, job);
      // Only case in which the server itself lost a paid call.
      await scene.expectAllWell({
        cases: [{ name: `${what} vanishes`, jobs: [job] }],
        mostCalls: 2,
      });
    },
  );

  it("leaves nothing, but volumes whose making was never answered, and those expire", async () => {
    await rig.expectNothingLeft();
  });
});
