import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ErrorCode, MirumojiError } from "../../src/job/errors.ts";
import { LOST_BUDGET } from "../../src/job/machine.ts";
import { Fenced } from "../../src/runner/job-run.ts";
import { runJob } from "../../src/runner/run-job.ts";
import type { Lease } from "../../src/queue/lease.ts";
import { FakeWorld } from "../helpers/runner/fake-world.ts";

/** Event at a moment of a job's life: before a side effect, or around a checkpoint write. */
type Happening = "fine" | "die" | "cancel" | { readonly code: ErrorCode };

const MOMENTS = 40;
const DELIVERIES = 400;
const TROUBLES: readonly ErrorCode[] = [
  "MODAL_UNAVAILABLE",
  "TRANSFER_FAILED",
  "MODAL_THROTTLED",
  "INTERRUPTED",
  "UNEXPECTED",
  "DISK_FULL",
];
const FINAL: readonly ErrorCode[] = ["FUNCTION_FAILED", "MODAL_REFUSED", "OUTPUT_UNWRITABLE"];
const LOSSES: readonly ErrorCode[] = ["VOLUME_LOST", "CALL_LOST", "PLATFORM_FAILED"];

const happenings = (codes: readonly ErrorCode[]): fc.Arbitrary<Happening[]> =>
  fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.constant<Happening>("fine") },
      { weight: 3, arbitrary: fc.constant<Happening>("die") },
      { weight: 1, arbitrary: fc.constant<Happening>("cancel") },
      { weight: 4, arbitrary: fc.constantFrom(...codes).map<Happening>((code) => ({ code })) },
    ),
    { maxLength: MOMENTS },
  );

/** Runs one job to its end through all given events; worker after worker takes it up. */
async function live(
  script: readonly Happening[],
): Promise<{ world: FakeWorld; status: string; lives: number }> {
  const world = new FakeWorld();
  world.budget = { perDay: 1e6 };
  const rest = [...script];
  const booked = new Set<string>();
  // A dead worker has no further effect and writes nothing more.
  const die = () => {
    throw new Fenced("the worker died");
  };
  const moment = () => {
    const happening = rest.shift() ?? "fine";
    if (happening === "die") die();
    if (happening === "cancel") world.cancelRequested = true;
    if (typeof happening === "object" && happening.code === "VOLUME_LOST") world.volumes.clear();
    if (typeof happening === "object") throw new MirumojiError(happening.code, "made up");
  };
  world.before = moment;
  const write = world.lease("w1");
  const lease: Lease = {
    ...write,
    async commit(commit) {
      // Errors of Redis have their own test; here a worker only dies around a write.
      if (rest[0] === "die") {
        rest.shift();
        die();
      }
      const committed = await write.commit(commit);
      // A volume whose worker died before recording it is unknown to everyone: the server expires it.
      if (commit.ledger !== undefined) booked.add(commit.ledger.volumeId);
      if (rest[0] === "die") {
        rest.shift();
        die();
      }
      return committed;
    },
  };
  for (let lives = 1; lives <= DELIVERIES; lives += 1) {
    const delivery = world.delivery({ lease, isFirst: lives === 1 });
    const result = await runJob(delivery, world.tools());
    if (result.kind === "completed" || result.kind === "failed") {
      await result.settle();
      for (const volume of world.volumes) if (!booked.has(volume)) world.volumes.delete(volume);
      return { world, status: world.summary?.status ?? "unknown", lives };
    }
  }
  throw new Error(`not over after ${DELIVERIES} deliveries`);
}

const startsOf = (world: FakeWorld) =>
  [...world.calls.values()].reduce((sum, { started }) => sum + started, 0);

function expectNothingLeaked({ world, status }: { world: FakeWorld; status: string }): void {
  for (const volume of world.volumes) expect([...world.ledger.keys()]).toContain(volume);
  for (const { started } of world.calls.values()) expect(started).toBeLessThanOrEqual(1);
  expect(world.checkpoint).toBeNull();
  // Every ended call is booked once, and the receipt is what was booked.
  const receipt = world.summary?.receipt;
  expect(new Set(world.spent.map(({ callId }) => callId)).size).toBe(world.spent.length);
  expect(receipt?.calls ?? []).toEqual(world.spent);
  // A worker that dies behind the write tells nobody of it.
  const told = world.named("call.finished").map(({ paid }) => paid);
  expect(world.spent).toEqual(expect.arrayContaining(told));
  expect(world.reserved).toBeNull();
  if (receipt?.volumeDeleted === true) expect([...world.volumes]).not.toContain(receipt.volumeId);
  expect(status === "completed").toBe(world.outputs.size === 1 && status === "completed");
  // A call of a job that came to nothing does not go on, unless stopping it is what failed.
  if (status === "completed" || world.named("cleanup.failed").length > 0) return;
  const last = [...world.calls.values()].at(-1);
  const hadResult = world.named("job.moved").some(({ from }) => from === "call");
  if (last !== undefined && last.started > 0 && !hadResult) expect(last.cancelled).toBe(true);
}

describe("a job's whole life", () => {
  it("ends, leaks nothing and starts one call, through deaths, cancels and troubles", async () => {
    await fc.assert(
      fc.asyncProperty(happenings([...TROUBLES, ...FINAL]), async (script) => {
        const end = await live(script);
        expect(["completed", "failed", "cancelled"]).toContain(end.status);
        expect(startsOf(end.world)).toBeLessThanOrEqual(1);
        expectNothingLeaked(end);
      }),
      { numRuns: 100 },
    );
  });

  it("starts one more call only for each thing that the server lost", async () => {
    await fc.assert(
      fc.asyncProperty(happenings([...TROUBLES, ...LOSSES]), async (script) => {
        const end = await live(script);
        const lost = script.filter(
          (happening) => typeof happening === "object" && LOSSES.includes(happening.code),
        );
        expect(startsOf(end.world)).toBeLessThanOrEqual(1 + Math.min(lost.length, LOST_BUDGET));
        expectNothingLeaked(end);
      }),
      { numRuns: 100 },
    );
  });

  it("completes whatever dies, when nothing else goes wrong", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom<Happening>("fine", "die"), { maxLength: MOMENTS }),
        async (script) => {
          const end = await live(script);
          expect(end.status).toBe("completed");
          expect(end.world.summary?.receipt).toMatchObject({ gpuSeconds: 1, usd: 0.5, volumeDeleted: true });
          expect(startsOf(end.world)).toBe(1);
          expect(end.world.volumes.size).toBe(0);
        },
      ),
      { numRuns: 100 },
    );
  });
});
