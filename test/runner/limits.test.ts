import { once } from "node:events";
import { afterEach, describe, expect, it, vi } from "vitest";
import { MirumojiError } from "../../src/job/errors.ts";
import { MACHINE } from "../../src/job/machine.ts";
import { runJob } from "../../src/runner/run-job.ts";
import type { RunnerTools } from "../../src/runner/job-run.ts";
import { FakeWorld } from "../helpers/runner/fake-world.ts";

const HOUR_MS = 3_600_000;

afterEach(() => {
  vi.useRealTimers();
});

/** Tools with an upload that never ends by itself. */
function stuckUpload(world: FakeWorld, changes: Partial<RunnerTools> = {}): RunnerTools {
  const tools = world.tools();
  const putFile: RunnerTools["volumes"]["putFile"] = async ({ signal }) => {
    await once(signal, "abort");
    throw signal.reason as Error;
  };
  return { ...tools, ...changes, volumes: { ...tools.volumes, putFile } };
}

describe("the limits of a job", () => {
  it("fail one that waited too long for its first worker, and touch nothing", async () => {
    const world = new FakeWorld();
    const { queueWaitMs } = world.tools();
    world.clock = queueWaitMs + 1;
    const result = await runJob(world.delivery({ submittedAt: 0 }), world.tools());
    expect(result).toMatchObject({ kind: "failed", code: "QUEUE_WAIT_EXPIRED" });
    expect(world.effects).toEqual([]);
  });

  it("do not count the time after its first worker as waiting", async () => {
    const world = new FakeWorld();
    world.before = (effect) => {
      if (effect === "put") throw new MirumojiError("INTERRUPTED", "stopping");
    };
    expect((await runJob(world.delivery(), world.tools())).kind).toBe("released");
    world.before = () => undefined;
    const { queueWaitMs } = world.tools();
    world.clock += queueWaitMs + 1;
    const result = await runJob(world.delivery(), { ...world.tools(), jobDeadlineMs: HOUR_MS });
    expect(result.kind).toBe("completed");
  });

  it("end one whose whole time is over, also between two tries, and undo it", async () => {
    const world = new FakeWorld();
    world.before = (effect) => {
      if (effect === "put") throw new MirumojiError("TRANSFER_FAILED", "made to fail");
    };
    expect((await runJob(world.delivery(), world.tools())).kind).toBe("delayed");
    world.clock += world.tools().jobDeadlineMs;
    const result = await runJob(world.delivery(), world.tools());
    expect(result).toMatchObject({ kind: "failed", code: "JOB_DEADLINE_EXCEEDED" });
    expect(world.volumes.size).toBe(0);
  });

  it("end one in the middle of a step when its whole time is over", async () => {
    const world = new FakeWorld();
    const result = await runJob(world.delivery(), stuckUpload(world, { jobDeadlineMs: 50 }));
    expect(result).toMatchObject({ kind: "failed", code: "JOB_DEADLINE_EXCEEDED" });
    expect(world.volumes.size).toBe(0);
  });

  it("end a try that takes longer than its step may, and try again", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const world = new FakeWorld();
    const running = runJob(world.delivery(), stuckUpload(world, { jobDeadlineMs: 1000 * HOUR_MS }));
    await vi.advanceTimersByTimeAsync(MACHINE.upload.attemptDeadlineMs);
    expect(await running).toMatchObject({ kind: "delayed" });
    expect(world.stored()).toMatchObject({ state: "upload", attempt: 2 });
    expect(world.named("step.finished").at(-1)).toMatchObject({ code: "STEP_TIMED_OUT" });
    expect([...world.volumes]).toEqual(["vo-1"]);
  });

  it("give up on a call that gives no result in time, and stop it", async () => {
    const world = new FakeWorld();
    world.waiting = Infinity;
    const result = await runJob(world.delivery(), { ...world.tools(), callDeadlineMs: 200 });
    expect(result).toMatchObject({ kind: "failed", code: "CALL_WAIT_TIMED_OUT" });
    expect([...world.calls.values()]).toEqual([{ started: 1, cancelled: true }]);
    expect(world.volumes.size).toBe(0);
  });
});
