import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { JOB_TYPES } from "../../src/job/contract.ts";
import { type Receiver, startReceiver } from "../helpers/http/receiver.ts";
import { FAULT_POINTS } from "../helpers/crash/fault-points.ts";
import type { WorkerProcess } from "../../support/stack.ts";
import { death, IS_LONG, openRig, type Rig } from "../helpers/crash/rig.ts";
import type { Case, Scene } from "../helpers/crash/scene.ts";

/** Each victim has one job of each type; the two wait for each other at its point, so one death is two cases. */
const ONE_OF_EACH = { MIRUMOJI_TRANSCRIBE_CONCURRENCY: "1", MIRUMOJI_CONVERT_CONCURRENCY: "1" };
/** Right after a checkpoint is also right before the next effect: the short form dies there once. */
const ONWARD = FAULT_POINTS.filter(
  (point) => !point.startsWith("cancel:") && (IS_LONG || !point.endsWith(":saved")),
);
/** The moments of an undo; the first is also the one right after it was put on record. */
const UNDOING = IS_LONG
  ? ["cancel:before", "cancel:after", "delete:before", "delete:after", "settle:before"]
  : ["cancel:before", "cancel:after", "delete:after"];

let rig: Rig;
let receiver: Receiver;
beforeAll(async () => {
  receiver = await startReceiver();
  rig = await openRig({ maxConcurrentCalls: 12 });
});
afterAll(async () => {
  receiver.close();
  await rig[Symbol.asyncDispose]();
});

describe(
  "workers that are killed, each at a moment of its own with a job of each type",
  { timeout: 200_000 },
  () => {
    it.each(groupsOf(9, ONWARD).map((points) => [points.join(", "), points] as const))(
      "%s: others finish all jobs and nothing is done twice",
      async (_, points) => {
        await using scene = await rig.scene("kill");
        const victims = await startVictims(scene, points);
        for (const type of JOB_TYPES)
          for (const _victim of victims) await scene.submit(type, { webhookUrl: receiver.url });
        const cases = await deaths(scene, points, victims);
        await scene.worker();
        await scene.expectAllWell({ cases });
        expectTold(scene, "job.completed");
      },
    );

    it(`${UNDOING.join(", ")} of an undo: others go on undoing`, async () => {
      await using scene = await rig.scene("kill while undoing");
      const victims = await startVictims(scene, UNDOING);
      for (const type of JOB_TYPES)
        for (const _victim of victims)
          await scene.submit(type, { callSeconds: 600, webhookUrl: receiver.url });
      for (const job of scene.jobs) await scene.callIs(job);
      const client = await scene.client();
      for (const { id } of scene.jobs) await client.cancel(id);
      const cases = await deaths(scene, UNDOING, victims, " of an undo");
      await scene.worker();
      await scene.expectAllWell({ cases, status: "cancelled" });
      expectTold(scene, "job.cancelled");
    });

    it("leave nothing on the server but the volumes that were never written down, and those expire", async () => {
      await rig.expectNothingLeft(JOB_TYPES.length);
    });
  },
);

/** The webhook of each job was told of its end, under one ID, however often. */
function expectTold(scene: Scene, event: string): void {
  const told = receiver.received.map((one) => ({ ...one.event, eventId: one.headers["webhook-id"] }));
  const ofJobs = scene.jobs.map(({ id }) => told.filter(({ data }) => data.id === id));
  expect(ofJobs.map((events) => [...new Set(events.map(({ type }) => type))])).toEqual(
    scene.jobs.map(() => [event]),
  );
  for (const events of ofJobs) expect(new Set(events.map(({ eventId }) => eventId)).size).toBe(1);
}

async function startVictims(scene: Scene, points: readonly string[]): Promise<WorkerProcess[]> {
  return await Promise.all(
    points.map(async (point) => await scene.worker({ ...ONE_OF_EACH, FAULT_POINT: `${point}*2` })),
  );
}

/** Waits until every victim has killed itself, at its point and with two jobs. */
async function deaths(
  scene: Scene,
  points: readonly string[],
  victims: readonly WorkerProcess[],
  suffix = "",
): Promise<Case[]> {
  return await Promise.all(
    victims.map(async (victim, index) => {
      const diedAt = await death(victim);
      expect(victim.child.signalCode, victim.log()).toBe("SIGKILL");
      expect(victim.log()).toContain(`fault point ${points[index]} reached`);
      const jobs = scene.takenBy(victim);
      expect(jobs).toHaveLength(2);
      return { name: `kill at ${points[index]}${suffix}`, jobs, diedAt };
    }),
  );
}

function groupsOf<T>(size: number, items: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}
