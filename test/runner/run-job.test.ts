import { describe, expect, it } from "vitest";
import { MirumojiError } from "../../src/job/errors.ts";
import { CRASH_BUDGET, MACHINE } from "../../src/job/machine.ts";
import { JobSignals } from "../../src/queue/job-signals.ts";
import { runJob } from "../../src/runner/run-job.ts";
import { failing, FakeWorld } from "../helpers/runner/fake-world.ts";

describe("runJob", () => {
  it("takes a job from nothing to completed and clears the books", async () => {
    const world = new FakeWorld();
    const result = await runJob(world.delivery(), world.tools());
    if (result.kind !== "completed") throw new Error(result.kind);
    await result.settle();
    expect(result.summary).toMatchObject({
      status: "completed",
      state: "completed",
      outputs: [{ path: "film.mp4" }],
      report: { engine: "libx264", inputBytes: 100, sentBytes: 90 },
      error: null,
    });
    expect(result.summary.states.map(({ state }) => state)).toEqual([
      "createVolume",
      "upload",
      "call",
      "download",
      "deleteVolume",
    ]);
    expect(world.volumes.size).toBe(0);
    expect(world.ledger.size).toBe(0);
    expect(world.checkpoint).toBeNull();
  });

  it("writes five times on the happy path", async () => {
    const world = new FakeWorld();
    await runJob(world.delivery(), world.tools());
    expect(world.commits).toBe(5);
  });

  it("enters the volume in the ledger before it uploads and the call before it starts it", async () => {
    const world = new FakeWorld();
    world.before = (effect) => {
      if (effect === "put") expect([...world.ledger]).toEqual([["vo-1", null]]);
      if (effect === "start") {
        expect(world.stored()?.facts.callId).toBe("fc-2");
        expect([...world.ledger]).toEqual([["vo-1", "fc-2"]]);
      }
    };
    expect((await runJob(world.delivery(), world.tools())).kind).toBe("completed");
  });

  it("opens no call that is over a spending limit: it fails, or waits for the limit to renew", async () => {
    const world = new FakeWorld();
    // 30 s of start and 2 s of media at half of the speed, at 0.5 USD a second.
    world.budget = { perDay: 15.4 };
    const failed = await runJob(world.delivery(), world.tools());
    expect(failed).toMatchObject({ kind: "failed", code: "BUDGET_EXCEEDED" });
    // Readers of a failed job see what was shown before its end.
    expect(world.summary).toMatchObject({ status: "running", receipt: { calls: [], volumeDeleted: true } });
    expect(failed).toMatchObject({ message: expect.stringContaining("estimated at 15.5000 USD") });
    expect(world.calls.size).toBe(0);
    expect(world.volumes.size).toBe(0);

    const patient = new FakeWorld();
    patient.budget = { perDay: 15.4, over: "wait" };
    expect(await runJob(patient.delivery(), patient.tools())).toMatchObject({
      kind: "delayed",
      delayMs: 300_000,
    });
    expect(patient.stored()).toMatchObject({ state: "call", attempt: 1 });
    expect(patient.effects).toEqual(["create", "put"]);
    patient.budget = { perDay: 15.5, over: "wait" };
    patient.before = (effect) => {
      if (effect === "open") expect(patient.reserved).toBe(15.5);
    };
    expect((await runJob(patient.delivery({ isFirst: false }), patient.tools())).kind).toBe("completed");
    expect(patient.effects).toContain("open");
  });

  it("holds nothing for a call without a GPU", async () => {
    const world = new FakeWorld();
    world.remuxId = "fu-remux";
    world.budget = { perDay: 15.4 };
    const data = { v: 1, input: "film.mkv", copy: true };
    expect((await runJob(world.delivery({ data }), world.tools())).kind).toBe("completed");
    expect(world.effects).toContain("open");
  });

  it("waits between tries with full jitter and counts them per state", async () => {
    const world = new FakeWorld();
    world.before = failing("put", "MODAL_FAILED", 2);
    const first = await runJob(world.delivery(), world.tools());
    expect(first).toEqual({ kind: "delayed", delayMs: MACHINE.upload.firstBackoffMs / 2, heedsCancel: true });
    const second = await runJob(world.delivery(), world.tools());
    expect(second).toEqual({ kind: "delayed", delayMs: MACHINE.upload.firstBackoffMs, heedsCancel: true });
    const third = await runJob(world.delivery(), world.tools());
    if (third.kind !== "completed") throw new Error(third.kind);
    expect(third.summary.states.find(({ state }) => state === "upload")?.attempts).toBe(3);
    expect(world.effects.filter((effect) => effect === "create")).toHaveLength(1);
  });

  it("heeds a cancel that it hears with the writing of a retry, and does not wait for the next try", async () => {
    const world = new FakeWorld();
    world.before = failing("poll", "MODAL_FAILED", 1);
    world.waiting = 100;
    const lease = world.lease("w1");
    const commit: typeof lease.commit = async (written) => {
      if (written.log?.includes("MODAL_FAILED") === true) world.cancelRequested = true;
      return await lease.commit(written);
    };
    const result = await runJob(world.delivery({ lease: { ...lease, commit } }), world.tools());
    expect(result).toMatchObject({ kind: "failed", code: "CANCELLED" });
    expect([...world.calls.values()]).toMatchObject([{ started: 1, cancelled: true }]);
  });

  it("does not forget a call that looked lost while it cannot be cancelled", async () => {
    const world = new FakeWorld();
    let looks = 0;
    world.waiting = 100;
    world.before = (effect) => {
      if (effect === "poll" && (looks += 1) <= 3) throw new MirumojiError("CALL_LOST", "not seen");
      if (effect === "cancel" && looks < 3) throw new MirumojiError("MODAL_UNAVAILABLE", "away");
    };
    for (const deliveries of [1, 2]) {
      expect(await runJob(world.delivery(), world.tools())).toEqual({ kind: "released" });
      expect([deliveries, world.stored()?.facts.callId, world.calls.size]).toEqual([deliveries, "fc-2", 1]);
    }
    world.waiting = 1;
    expect((await runJob(world.delivery(), world.tools())).kind).toBe("completed");
    expect([...world.calls.values()]).toEqual([
      { started: 1, cancelled: true },
      { started: 1, cancelled: false },
    ]);
  });

  it("counts its clocks from the retry", async () => {
    const world = new FakeWorld();
    world.clock = 1e12;
    world.retriedAt = world.clock - 5000;
    const old = { submittedAt: world.clock - 8 * 24 * 3_600_000, isFirst: true };
    expect((await runJob(world.delivery(old), world.tools())).kind).toBe("completed");
    const kept = new FakeWorld();
    kept.before = failing("put", "MODAL_FAILED", 1);
    await runJob(kept.delivery(), kept.tools());
    kept.clock += 10 * kept.tools().jobDeadlineMs;
    kept.retriedAt = kept.clock - 5000;
    expect((await runJob(kept.delivery(), kept.tools())).kind).toBe("completed");
  });

  it("undoes everything when a state's attempts are spent", async () => {
    const world = new FakeWorld();
    world.before = failing("get", "TRANSFER_FAILED", Infinity);
    let result = await runJob(world.delivery(), world.tools());
    while (result.kind === "delayed") result = await runJob(world.delivery(), world.tools());
    if (result.kind !== "failed") throw new Error(result.kind);
    await result.settle();
    expect(result.code).toBe("TRANSFER_FAILED");
    expect(world.summary).toMatchObject({ status: "failed", error: { code: "TRANSFER_FAILED" } });
    expect(world.volumes.size).toBe(0);
    expect(world.ledger.size).toBe(0);
    expect(world.effects).not.toContain("cancel");
  });

  it.each(["DISK_FULL", "OUTPUT_WRITE_FAILED"] as const)(
    "keeps the remote result through %s, and calls nothing again, as long as the job may take",
    async (code) => {
      const world = new FakeWorld();
      world.before = failing("write", code, 3 * MACHINE.download.attempts);
      let result = await runJob(world.delivery(), world.tools());
      for (; result.kind === "delayed"; result = await runJob(world.delivery(), world.tools())) {
        expect([...world.volumes]).toEqual(["vo-1"]);
        expect([...world.ledger.keys()]).toEqual(["vo-1"]);
        expect(world.stored()?.attempt).toBe(1);
      }
      expect(result.kind).toBe("completed");
      expect([...world.calls.values()]).toEqual([{ started: 1, cancelled: false }]);
      const hopeless = new FakeWorld();
      hopeless.before = failing("write", code, Infinity);
      result = await runJob(hopeless.delivery(), hopeless.tools());
      while (result.kind === "delayed") result = await runJob(hopeless.delivery(), hopeless.tools());
      expect(result).toMatchObject({ kind: "failed", code: "JOB_DEADLINE_EXCEEDED" });
      expect(hopeless.volumes.size).toBe(0);
    },
  );

  it("pays for nothing when another job writes the same output, and leaves that claim alone", async () => {
    const world = new FakeWorld();
    world.claims.set("film.mp4", "another");
    const result = await runJob(world.delivery(), world.tools());
    if (result.kind !== "failed") throw new Error(result.kind);
    expect(result).toMatchObject({ code: "OUTPUT_CLAIMED", message: expect.stringContaining("another") });
    expect(world.effects).toEqual(["create", "delete"]);
    expect(world.volumes.size).toBe(0);
    await result.settle();
    expect(world.claims).toEqual(new Map([["film.mp4", "another"]]));
  });

  it("claims its outputs until it is over", async () => {
    const world = new FakeWorld();
    world.before = (effect) => {
      if (effect !== "create") expect(world.claims).toEqual(new Map([["film.mp4", "j1"]]));
    };
    const result = await runJob(world.delivery(), world.tools());
    if (result.kind !== "completed") throw new Error(result.kind);
    await result.settle();
    expect(world.claims.size).toBe(0);
  });

  it("cancels a call that runs when the job fails", async () => {
    const world = new FakeWorld();
    world.before = failing("poll", "CALL_WAIT_TIMED_OUT");
    const result = await runJob(world.delivery(), world.tools());
    expect(result).toMatchObject({ kind: "failed", code: "CALL_WAIT_TIMED_OUT" });
    expect([...world.calls.values()]).toEqual([{ started: 1, cancelled: true }]);
    expect(world.volumes.size).toBe(0);
  });

  it("makes a new volume when the old one vanished, and stops the call that used it", async () => {
    const world = new FakeWorld();
    world.before = failing("get", "VOLUME_LOST");
    const result = await runJob(world.delivery(), world.tools());
    expect(result.kind).toBe("completed");
    expect(world.effects.filter((effect) => effect === "create")).toHaveLength(2);
    expect([...world.calls.values()].map(({ cancelled }) => cancelled)).toEqual([true, false]);
  });

  it("does the same when the function fails because its volume vanished, and only then", async () => {
    const world = new FakeWorld();
    world.before = (effect) => {
      if (effect === "poll" && world.volumes.delete("vo-1")) {
        throw new MirumojiError("FUNCTION_FAILED", "volume vo-1 not found");
      }
    };
    expect((await runJob(world.delivery(), world.tools())).kind).toBe("completed");
    expect([...world.calls.values()].map(({ cancelled }) => cancelled)).toEqual([true, false]);
    const other = new FakeWorld();
    other.before = failing("poll", "FUNCTION_FAILED");
    expect(await runJob(other.delivery(), other.tools())).toMatchObject({ code: "FUNCTION_FAILED" });
    expect(other.calls.size).toBe(1);
  });

  it.each(["open", "start"] as const)(
    "pays for no call before %s when its volume expired meanwhile",
    async (at) => {
      const world = new FakeWorld();
      const signals = new JobSignals();
      world.before = (effect) => {
        if (effect === at) signals.interrupt();
        signals.stopped.throwIfAborted();
      };
      expect(await runJob(world.delivery({ signals }), world.tools())).toEqual({ kind: "released" });
      world.before = () => undefined;
      world.volumes.clear();
      expect((await runJob(world.delivery(), world.tools())).kind).toBe("completed");
      expect([...world.calls.values()].reduce((sum, { started }) => sum + started, 0)).toBe(1);
      expect(world.effects.filter((effect) => effect === "create")).toHaveLength(2);
    },
  );

  it("re-attaches a running call and never starts a second one", async () => {
    const world = new FakeWorld();
    const signals = new JobSignals();
    world.before = (effect) => {
      if (effect === "poll") signals.interrupt();
      signals.stopped.throwIfAborted();
    };
    expect(await runJob(world.delivery({ signals }), world.tools())).toEqual({ kind: "released" });
    world.before = () => undefined;
    const result = await runJob(world.delivery(), world.tools());
    expect(result.kind).toBe("completed");
    expect([...world.calls.values()]).toEqual([{ started: 1, cancelled: false }]);
    expect(world.effects.filter((effect) => effect === "put")).toHaveLength(1);
  });

  it("does not hold short troubles of a long call against each other", async () => {
    const world = new FakeWorld();
    let polls = 0;
    world.waiting = MACHINE.call.attempts * 4;
    world.before = (effect) => {
      // Every second look at the call fails.
      if (effect === "poll" && (polls += 1) % 2 === 0) throw new MirumojiError("MODAL_FAILED", "gone");
    };
    let result = await runJob(world.delivery(), world.tools());
    while (result.kind === "delayed") result = await runJob(world.delivery(), world.tools());
    if (result.kind !== "completed") throw new Error(result.kind);
    expect(polls).toBeGreaterThan(MACHINE.call.attempts * 4);
    const { attempts } = result.summary.states.find(({ state }) => state === "call") ?? {};
    expect(attempts).toBeGreaterThan(MACHINE.call.attempts);
    expect([...world.calls.values()]).toEqual([{ started: 1, cancelled: false }]);
  });

  it("puts the input of a call that was opened but never started", async () => {
    const world = new FakeWorld();
    world.before = failing("start", "INTERRUPTED");
    expect((await runJob(world.delivery(), world.tools())).kind).toBe("released");
    expect((await runJob(world.delivery(), world.tools())).kind).toBe("completed");
    expect([...world.calls.values()]).toEqual([{ started: 1, cancelled: false }]);
  });

  it("leaves silently when its write is refused", async () => {
    const world = new FakeWorld();
    world.before = (effect) => {
      if (effect === "put") world.owner = "w2";
    };
    const result = await runJob(world.delivery(), world.tools());
    expect(result).toEqual({ kind: "fenced" });
    expect(world.stored()?.state).toBe("upload");
    expect(world.effects).toEqual(["create", "put"]);
    expect(world.named("job.fenced")).toHaveLength(1);
  });

  it("deletes a volume that it made under a lost lease: nobody else knows it", async () => {
    const world = new FakeWorld();
    world.before = (effect) => {
      if (effect === "create") world.owner = "w2";
    };
    expect(await runJob(world.delivery(), world.tools())).toEqual({ kind: "fenced" });
    expect(world.volumes.size).toBe(0);
    expect(world.checkpoint).toBeNull();
  });

  it("loses no volume to a cancel or a stop while it is being made", async () => {
    for (const ending of ["cancelled", "interrupted"] as const) {
      const world = new FakeWorld();
      const signals = new JobSignals();
      world.before = (effect) => {
        if (effect !== "create") return;
        if (ending === "cancelled") signals.cancel();
        else signals.interrupt();
      };
      const result = await runJob(world.delivery({ signals }), world.tools());
      expect(result.kind).toBe(ending === "cancelled" ? "failed" : "released");
      expect([...world.volumes]).toEqual(ending === "cancelled" ? [] : ["vo-1"]);
      if (ending === "interrupted") expect(world.stored()?.facts.volumeId).toBe("vo-1");
    }
  });

  it("leaves a job alone, and does not fail it, when Redis refuses a write", async () => {
    const world = new FakeWorld();
    const lease = { ...world.lease("w1"), commit: async () => await Promise.reject(new Error("READONLY")) };
    expect(await runJob(world.delivery({ lease }), world.tools())).toEqual({ kind: "fenced" });
    const unread = { ...lease, load: async () => await Promise.reject(new Error("closed")) };
    expect(await runJob(world.delivery({ lease: unread, isFirst: false }), world.tools())).toEqual({
      kind: "fenced",
    });
    expect(world.named("job.abandoned")).toHaveLength(2);
    expect(world.named("job.finished")).toEqual([]);
    expect([...world.volumes], "volumes that nobody knows").toEqual([]);
  });

  it.each(["MODAL_THROTTLED", "MODAL_UNAVAILABLE", "MODAL_UNAUTHENTICATED"] as const)(
    "hands the job back for %s, with what it has earned, and spends no attempt",
    async (code) => {
      const world = new FakeWorld();
      world.before = failing("open", code, 50);
      for (let delivery = 0; delivery < 50; delivery += 1) {
        expect(await runJob(world.delivery(), world.tools())).toEqual({ kind: "released" });
      }
      expect(world.stored()).toMatchObject({ state: "call", attempt: 1 });
      expect(await runJob(world.delivery(), world.tools())).toMatchObject({ kind: "completed" });
      expect(world.effects.filter((effect) => effect === "put")).toHaveLength(1);
    },
  );

  it("counts a request that fails while Modal is well", async () => {
    const world = new FakeWorld();
    world.isModalWell = true;
    world.before = failing("open", "MODAL_UNAVAILABLE", 100);
    const results: string[] = [];
    while (results.at(-1) !== "failed") {
      results.push((await runJob(world.delivery(), world.tools())).kind);
    }
    expect(results).toHaveLength(MACHINE.call.attempts);
  });

  it("fails garbage with a code, without touching anything", async () => {
    const world = new FakeWorld();
    const result = await runJob(world.delivery({ data: { v: 1, input: "../x" } }), world.tools());
    expect(result).toMatchObject({ kind: "failed", code: "PATH_OUTSIDE_MEDIA_ROOT" });
    expect(world.effects).toEqual([]);
    const wrongQueue = await runJob(world.delivery({ name: "transcribe" }), world.tools());
    expect(wrongQueue).toMatchObject({ kind: "failed", code: "JOB_TYPE_UNKNOWN" });
  });

  it("fails a checkpoint that cannot be read", async () => {
    const world = new FakeWorld();
    world.checkpoint = "{";
    const result = await runJob(world.delivery(), world.tools());
    expect(result).toMatchObject({ kind: "failed", code: "CHECKPOINT_CORRUPT" });
  });

  it("gives up on a job that workers keep dying on, and undoes it", async () => {
    const world = new FakeWorld();
    world.before = failing("poll", "INTERRUPTED");
    await runJob(world.delivery(), world.tools());
    const result = await runJob(world.delivery({ crashes: CRASH_BUDGET + 1 }), world.tools());
    expect(result).toMatchObject({ kind: "failed", code: "CRASH_BUDGET_SPENT" });
    expect(world.volumes.size).toBe(0);
  });

  it("completes a job whose volume cannot be deleted, and leaves it to the ledger", async () => {
    const world = new FakeWorld();
    world.before = failing("delete", "MODAL_REFUSED", Infinity);
    const result = await runJob(world.delivery(), world.tools());
    if (result.kind !== "completed") throw new Error(result.kind);
    await result.settle();
    expect([...world.ledger.keys()]).toEqual(["vo-1"]);
    expect(world.named("cleanup.failed")).toHaveLength(1);
  });
});
