import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ERRORS, type ErrorCode, MirumojiError } from "../../src/job/errors.ts";
import {
  backoffCeilingMs,
  decide,
  fullJitterMs,
  isFinalState,
  LOST_BUDGET,
  MACHINE,
  PATH,
  type Position,
  undoActions,
  type WorkingState,
} from "../../src/job/machine.ts";
import { type Outcome, outcomeOf } from "../../src/job/outcome.ts";

const CODES = Object.keys(ERRORS) as ErrorCode[];
const STATES: readonly WorkingState[] = [...PATH, "undo"];

const outcome: fc.Arbitrary<Outcome> = fc.oneof(
  fc.constant<Outcome>({ kind: "done" }),
  fc.constant<Outcome>({ kind: "pending" }),
  fc.constantFrom(...CODES).map((code) => outcomeOf(new MirumojiError(code, "made up"))),
);
const position: fc.Arbitrary<Position> = fc.record({
  state: fc.constantFrom(...STATES),
  attempt: fc.integer({ min: 1, max: 20 }),
  lost: fc.integer({ min: 0, max: LOST_BUDGET }),
  ending: fc.constantFrom("failed" as const, "cancelled" as const),
});

const at = (state: WorkingState, changes: Partial<Position> = {}): Position => ({
  state,
  attempt: 1,
  lost: 0,
  ending: "failed",
  ...changes,
});
const failing = (code: ErrorCode) => outcomeOf(new MirumojiError(code, "made up"));

describe("decide", () => {
  it("leads through every state of the path to completed", () => {
    const visited: string[] = [];
    let state: WorkingState | "completed" | "failed" | "cancelled" = PATH[0];
    while (!isFinalState(state)) {
      visited.push(state);
      const decision = decide(at(state), { kind: "done" });
      if (decision.kind !== "move") throw new Error(decision.kind);
      state = decision.to;
    }
    expect(visited).toEqual([...PATH]);
    expect(state).toBe("completed");
  });

  it("fails at once for wrong input, failed functions and defects", () => {
    for (const code of ["INPUT_NOT_FOUND", "FUNCTION_FAILED", "MODAL_REFUSED"] as const) {
      expect(decide(at("upload"), failing(code))).toEqual({ kind: "unwind", ending: "failed" });
    }
  });

  it("spends exactly the table's attempts on transient outcomes", () => {
    for (const state of PATH.filter((candidate) => candidate !== "deleteVolume")) {
      const { attempts } = MACHINE[state];
      expect(decide(at(state, { attempt: attempts - 1 }), failing("MODAL_FAILED")).kind).toBe("retry");
      expect(decide(at(state, { attempt: attempts }), failing("MODAL_FAILED"))).toEqual({
        kind: "unwind",
        ending: "failed",
      });
    }
  });

  it("goes back where the lost thing can be made again, within its budget", () => {
    expect(decide(at("download"), failing("VOLUME_LOST"))).toEqual({ kind: "rewind", to: "createVolume" });
    expect(decide(at("call"), failing("CALL_LOST"))).toEqual({ kind: "rewind", to: "call" });
    expect(decide(at("call"), failing("PLATFORM_FAILED"))).toEqual({ kind: "rewind", to: "call" });
    expect(decide(at("call", { lost: LOST_BUDGET }), failing("CALL_LOST"))).toEqual({
      kind: "unwind",
      ending: "failed",
    });
  });

  it("calls once more, and no oftener, when a call ended with an unknown status", () => {
    const unknown = failing("CALL_STATUS_UNKNOWN");
    expect(decide(at("call"), unknown)).toEqual({ kind: "rewind", to: "call" });
    expect(decide(at("call", { lost: 1 }), unknown)).toEqual({ kind: "unwind", ending: "failed" });
  });

  it("keeps a job whose outputs are written, whatever happens to its volume", () => {
    for (const code of ["MODAL_REFUSED", "CANCELLED", "MODAL_UNAVAILABLE"] as const) {
      expect(decide(at("deleteVolume", { attempt: 99 }), failing(code))).toEqual({
        kind: "move",
        to: "completed",
      });
    }
  });

  it("never spends an attempt on waiting or stopping", () => {
    fc.assert(
      fc.property(
        position,
        fc.constantFrom<Outcome>({ kind: "pending" }, failing("INTERRUPTED"), failing("LEASE_LOST")),
        (where, reported) => {
          expect(["again", "release"]).toContain(decide(where, reported).kind);
        },
      ),
    );
  });

  it("spends no attempt on trouble with Modal, but ends what is ending", () => {
    for (const code of ["MODAL_THROTTLED", "MODAL_UNAVAILABLE", "MODAL_UNAUTHENTICATED"] as const) {
      for (const state of PATH.filter((candidate) => candidate !== "deleteVolume")) {
        expect(["pause", "release"]).toContain(decide(at(state, { attempt: 99 }), failing(code)).kind);
      }
      expect(decide(at("deleteVolume"), failing(code))).toEqual({ kind: "move", to: "completed" });
      expect(decide(at("undo"), failing(code))).toMatchObject({ kind: "retry" });
      expect(decide(at("undo", { attempt: 99 }), failing(code))).toMatchObject({ kind: "move" });
    }
  });

  it("waits for the disk as long as the job may take, but not to undo", () => {
    for (const code of ["DISK_FULL", "STORAGE_UNAVAILABLE", "OUTPUT_WRITE_FAILED"] as const) {
      for (const state of PATH) {
        expect(decide(at(state, { attempt: 99 }), failing(code))).toMatchObject({ kind: "wait" });
      }
      expect(decide(at("undo"), failing(code))).toMatchObject({ kind: "retry" });
      expect(decide(at("undo", { attempt: 99 }), failing(code))).toMatchObject({ kind: "move" });
    }
  });

  it("ends every sequence of outcomes within the budgets", () => {
    // Outcomes that cost nothing are left out: they may go on for ever by design.
    const free = ["pending", "interrupted", "throttled", "unreachable", "unfit", "blocked"];
    const costly = outcome.filter(({ kind }) => !free.includes(kind));
    const attemptsOf = (state: WorkingState) => MACHINE[state].attempts;
    const bound =
      (LOST_BUDGET + 1) * PATH.reduce((sum, state) => sum + attemptsOf(state), 0) + attemptsOf("undo") + 1;
    fc.assert(
      fc.property(fc.infiniteStream(costly), (reports) => {
        let where = at(PATH[0]);
        for (let turns = 0; turns <= bound; turns += 1) {
          const decision = decide(where, reports.next().value);
          if (decision.kind === "move") {
            if (isFinalState(decision.to)) return;
            where = at(decision.to, { lost: where.lost, ending: where.ending });
          } else if (decision.kind === "retry") where = { ...where, attempt: where.attempt + 1 };
          else if (decision.kind === "rewind") where = at(decision.to, { lost: where.lost + 1 });
          else if (decision.kind === "unwind") where = at("undo", { ending: decision.ending });
          else throw new Error(`a costly outcome gave ${decision.kind}`);
        }
        throw new Error(`not over after ${bound} attempts`);
      }),
    );
  });

  it("never leaves undo but for its ending", () => {
    fc.assert(
      fc.property(position, outcome, (where, reported) => {
        const decision = decide({ ...where, state: "undo" }, reported);
        expect(["again", "retry", "release", "move"]).toContain(decision.kind);
        if (decision.kind === "move") expect(decision.to).toBe(where.ending);
      }),
    );
  });
});

describe("backoff", () => {
  it("doubles up to the longest and is drawn from zero to the ceiling", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...STATES),
        fc.integer({ min: 1, max: 40 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (state, attempt, random) => {
          const rule = MACHINE[state];
          const ceiling = backoffCeilingMs(rule, attempt);
          expect(ceiling).toBe(Math.min(rule.longestBackoffMs, rule.firstBackoffMs * 2 ** (attempt - 1)));
          const delay = fullJitterMs(ceiling, random);
          expect(delay).toBeGreaterThanOrEqual(0);
          expect(delay).toBeLessThanOrEqual(ceiling);
        },
      ),
    );
  });
});

describe("undoActions", () => {
  it("undoes what was entered, newest first", () => {
    expect(undoActions("createVolume")).toEqual(["deleteVolume"]);
    expect(undoActions("upload")).toEqual(["deleteVolume"]);
    expect(undoActions("call")).toEqual(["cancelCall", "deleteVolume"]);
    expect(undoActions("download")).toEqual(["removePartialOutputs", "cancelCall", "deleteVolume"]);
  });
});
