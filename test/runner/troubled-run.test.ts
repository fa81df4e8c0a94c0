import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Trouble, TroubledRun } from "../helpers/runner/troubled-run.ts";

const trouble = fc.oneof(
  { weight: 12, arbitrary: fc.constant<Trouble>("none") },
  {
    weight: 8,
    arbitrary: fc.constantFrom<Trouble>(
      "dies before",
      "dies after",
      "answer lost",
      "stale",
      "cancel",
      "stop",
      "volume vanishes",
      "call vanishes",
    ),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Trouble>(
      "MODAL_UNAVAILABLE",
      "MODAL_THROTTLED",
      "MODAL_REFUSED",
      "TRANSFER_FAILED",
      "UNEXPECTED",
      "late",
      "early",
    ),
  },
);
const troubles = fc.array(trouble, { maxLength: 60 });

async function lived(list: readonly Trouble[]): Promise<TroubledRun> {
  const run = new TroubledRun(list);
  await run.run();
  return run;
}

describe("a run whose workers die after the deed, go stale and lose answers", () => {
  it("ends once, keeps every promise about volumes and calls, and leaves nothing", async () => {
    await fc.assert(
      fc.asyncProperty(troubles, async (list) => {
        const run = await lived(list);
        expect(run.broken).toEqual([]);
        expect(["completed", "failed", "cancelled"]).toContain(run.status);
        if (run.status === "cancelled") expect(run.isCancelled).toBe(true);
        if (run.status === "completed") expect(run.world.outputs.size).toBe(1);
      }),
      { numRuns: 1000 },
    );
  });

  it("completes with one call when workers only die, go stale, stop and lose time, within the crash budget", async () => {
    const harmless = fc.constantFrom<Trouble>("none", "dies before", "dies after", "stale", "stop", "early");
    await fc.assert(
      fc.asyncProperty(fc.array(harmless, { maxLength: 18 }), async (list) => {
        const run = await lived(list);
        expect(run.broken).toEqual([]);
        expect(run.status).toBe("completed");
        expect([...run.world.calls.values()].filter(({ started }) => started > 0)).toHaveLength(1);
      }),
      { numRuns: 300 },
    );
  });

  it("cancels at any point: no output of ours is left half, no call runs, no volume lives", async () => {
    for (let point = 0; point < 25; point += 1) {
      const run = await lived([...Array.from({ length: point }, (): Trouble => "none"), "cancel"]);
      expect(run.broken).toEqual([]);
      expect(run.world.volumes.size).toBe(0);
      expect(run.status).toBe(run.isCancelled && run.world.outputs.size === 0 ? "cancelled" : "completed");
    }
  });
});
