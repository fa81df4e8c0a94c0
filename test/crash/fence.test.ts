import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { JOB_TYPES } from "../../src/job/contract.ts";
import { isFinal } from "../../src/job/summary.ts";
import type { WorkerProcess } from "../../support/stack.ts";
import { death, IS_LONG, openRig, type Rig } from "../helpers/crash/rig.ts";

/** Moments at which a frozen worker can do most harm. */
const MOMENTS = !IS_LONG
  ? ["create:after", "start:before", "poll:after", "outputs:before"]
  : [
      "create:after",
      "put:after",
      "open:after",
      "start:before",
      "poll:after",
      "outputs:before",
      "delete:before",
    ];
/** Time within which a worker that lost its lease leaves the job and its remote resources alone. */
const LEAVES_WITHIN_MS = 1000;

let rig: Rig;
beforeAll(async () => {
  rig = await openRig({ maxConcurrentCalls: 12 });
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

describe("a worker that is frozen for longer than its lease", { timeout: 200_000 }, () => {
  it(`writes nothing and touches nothing when it goes on: ${MOMENTS.join(", ")}`, async () => {
    await using scene = await rig.scene("frozen past the lease, then thawed");
    const frozen = await Promise.all(
      MOMENTS.map(
        async (point) =>
          await scene.worker({
            FAULT_POINT: `${point}*2=stop`,
            MIRUMOJI_TRANSCRIBE_CONCURRENCY: "1",
            MIRUMOJI_CONVERT_CONCURRENCY: "1",
          }),
      ),
    );
    for (const type of JOB_TYPES) for (const _worker of frozen) await scene.submit(type);
    await Promise.all(frozen.map(reachedItsPoint));
    await scene.worker();
    for (const job of scene.jobs) await scene.seen(job, ({ status }) => isFinal(status));
    const before = await rig.host.stats();
    for (const { child } of frozen) child.kill("SIGCONT");
    await sleep(LEAVES_WITHIN_MS);
    for (const worker of frozen) {
      const [, afterwards = ""] = worker.log().split(/fault point \S+ reached: stop\n/u);
      expect(afterwards.match(/"event":"job.fenced"/gu), worker.log()).toHaveLength(2);
      expect(afterwards).not.toMatch(/"event":"job\.(moved|finished|delayed)"/u);
    }
    const after = await rig.host.stats();
    expect(after.volumes.created).toBe(before.volumes.created);
    expect(after.calls.list).toEqual(before.calls.list);
    await scene.expectAllWell();
  });
});

describe("two reapers and the caretaker", { timeout: 120_000 }, () => {
  it("remove what dead workers left, all at once, and disturb neither each other nor a live job", async () => {
    await using scene = await rig.scene("two reapers at once");
    const victim = await scene.worker({ FAULT_POINT: "settle:before*2" });
    for (const type of JOB_TYPES) await scene.submit(type);
    await death(victim);
    await scene.worker();
    await scene.submit("convert", { callSeconds: 2 });
    const reaps = await Promise.all([scene.command("reap", "--json"), scene.command("reap", "--json")]);
    for (const { code, stderr } of reaps) expect(code, stderr).toBe(0);
    await scene.expectAllWell();
  });
});

async function reachedItsPoint(worker: WorkerProcess): Promise<void> {
  while (!worker.log().includes("fault point")) await sleep(20);
}
