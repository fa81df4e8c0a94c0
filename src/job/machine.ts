import type { ErrorCode } from "./errors.ts";
import type { Outcome } from "./outcome.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** A working state: it owns exactly one step, of the same name. */
export type WorkingState = "createVolume" | "upload" | "call" | "download" | "deleteVolume" | "undo";
/** Where a job stands. `queued` is before the first activation; the last three are final. */
export type JobState = "queued" | WorkingState | FinalState;
export type FinalState = "completed" | "failed" | "cancelled";

/** Whether nothing follows the state. */
export function isFinalState(state: JobState): state is FinalState {
  return state === "completed" || state === "failed" || state === "cancelled";
}

/** Action that reverses a state; it is on record (in the checkpoint's state) before the step runs. */
export type UndoAction = "deleteVolume" | "cancelCall" | "removePartialOutputs";

interface Rule {
  /** The state that success leads to. */
  readonly next: WorkingState | FinalState;
  /** How many tries a transient outcome may cost, the first one included. */
  readonly attempts: number;
  /** Ceiling of the first pause; it doubles with each attempt up to the longest. Full jitter below it. */
  readonly firstBackoffMs: number;
  readonly longestBackoffMs: number;
  /** How long one attempt may take; null where the step has a clock of its own. */
  readonly attemptDeadlineMs: number | null;
  /** Action that is due once this state was entered and the job ends badly. */
  readonly undo: UndoAction | null;
  /** Description of the step, for people. */
  readonly about: string;
}

/**
 * THE TABLE: one row per state with work left. `decide` reads it and nothing else decides anything;
 * `docs/lifecycle.md` is generated from it.
 */
// oxfmt-ignore
export const MACHINE = {
  createVolume: { next: "upload",       attempts: 8,  firstBackoffMs: 1 * SECOND, longestBackoffMs: 1 * MINUTE, attemptDeadlineMs: 2 * MINUTE,  undo: "deleteVolume",         about: "make an ephemeral volume and enter it in the ledger" },
  upload:       { next: "call",         attempts: 8,  firstBackoffMs: 2 * SECOND, longestBackoffMs: 2 * MINUTE, attemptDeadlineMs: 12 * HOUR,   undo: null,                   about: "send the input into the volume, in blocks" },
  call:         { next: "download",     attempts: 10, firstBackoffMs: 2 * SECOND, longestBackoffMs: 2 * MINUTE, attemptDeadlineMs: null,        undo: "cancelCall",           about: "open the GPU call, start it, wait for its result" },
  download:     { next: "deleteVolume", attempts: 8,  firstBackoffMs: 2 * SECOND, longestBackoffMs: 2 * MINUTE, attemptDeadlineMs: 12 * HOUR,   undo: "removePartialOutputs", about: "fetch the result and write the outputs" },
  deleteVolume: { next: "completed",    attempts: 10, firstBackoffMs: 1 * SECOND, longestBackoffMs: 1 * MINUTE, attemptDeadlineMs: 2 * MINUTE,  undo: null,                   about: "delete the volume" },
  undo:         { next: "failed",       attempts: 10, firstBackoffMs: 1 * SECOND, longestBackoffMs: 1 * MINUTE, attemptDeadlineMs: 5 * MINUTE,  undo: null,                   about: "cancel the call, delete the volume, remove partial outputs" },
} as const satisfies Record<WorkingState, Rule>;

/** The forward path, in order. */
export const PATH = [
  "createVolume",
  "upload",
  "call",
  "download",
  "deleteVolume",
] as const satisfies WorkingState[];

/** Where a job goes back to when a remote resource vanished. */
export const LOST_GOES_TO: Partial<Record<ErrorCode, WorkingState>> = {
  VOLUME_LOST: "createVolume",
  CALL_LOST: "call",
  PLATFORM_FAILED: "call",
  CALL_STATUS_UNKNOWN: "call",
};

/** How often a job may lose a remote resource before it fails. */
export const LOST_BUDGET = 3;
/** Smaller budgets, for what is paid each time and may well end the same way again. */
export const LOST_BUDGETS: Partial<Record<ErrorCode, number>> = { CALL_STATUS_UNKNOWN: 1 };
/** How often workers may die on a job before it fails: the input may be what kills them. */
export const CRASH_BUDGET = 20;

/** The machine's answer to an outcome. */
export type Decision =
  /** Go to the next state; attempts start anew. */
  | { readonly kind: "move"; readonly to: WorkingState | FinalState }
  /** Stay and look again at once; costs nothing, and attempts start anew. */
  | { readonly kind: "again" }
  /** Wait up to `ceilingMs` (full jitter), then try again; costs an attempt. */
  | { readonly kind: "retry"; readonly ceilingMs: number }
  /** Wait up to `ceilingMs` (full jitter), then try again; costs nothing, so that only the job's deadline ends it. */
  | { readonly kind: "wait"; readonly ceilingMs: number }
  /** Hand the job back and pause the whole pool, until Modal is well or for the time it asks for; costs nothing. */
  | { readonly kind: "pause" }
  /** Go back to make again what vanished; costs one of the lost budget. */
  | { readonly kind: "rewind"; readonly to: WorkingState }
  /** Hand the job back to the queue; costs nothing. */
  | { readonly kind: "release" }
  /** Undo what was done, then end. */
  | { readonly kind: "unwind"; readonly ending: "failed" | "cancelled" };

/** Where the job stands when an outcome arrives. */
export interface Position {
  readonly state: WorkingState;
  /** The try that just ended, counted from 1. */
  readonly attempt: number;
  /** How often the job has lost a remote resource so far. */
  readonly lost: number;
  /** How the job ends once it is undone; only read in state `undo`. */
  readonly ending: "failed" | "cancelled";
}

/** Trouble that is not the job's: it costs no attempt. */
const PATIENT: ReadonlySet<Outcome["kind"]> = new Set(["blocked", "throttled", "unreachable", "unfit"]);

/** Pause of a job that waits for the disk or the mount of its files. */
const STORAGE_WAIT_MS = 30 * SECOND;
/** Longest pause of a job that waits for money: a limit that is raised counts soon. */
const BUDGET_WAIT_MS = 10 * MINUTE;

/** Pure: every transition in the system is decided here, and nowhere else. */
export function decide(position: Position, outcome: Outcome): Decision {
  const { state, attempt } = position;
  const rule: Rule = MACHINE[state];
  if (outcome.kind === "done") return { kind: "move", to: state === "undo" ? position.ending : rule.next };
  if (outcome.kind === "pending") return { kind: "again" };
  if (outcome.kind === "interrupted") return { kind: "release" };
  // Undoing must come to an end: what stays is less than a job that never ends.
  if (state !== "undo" && PATIENT.has(outcome.kind)) return patience(state, outcome);
  const isTransient = outcome.kind === "transient" || PATIENT.has(outcome.kind);
  if (isTransient && attempt < rule.attempts) {
    return { kind: "retry", ceilingMs: backoffCeilingMs(rule, attempt) };
  }
  // Undoing that cannot be done ends the job all the same: what is left over is the reaper's.
  if (state === "undo") return { kind: "move", to: position.ending };
  // The outputs are written: that the volume cannot be deleted, or a late cancel, must not fail the job.
  if (state === "deleteVolume") return { kind: "move", to: rule.next };
  if (outcome.kind === "cancelled") return { kind: "unwind", ending: "cancelled" };
  if (outcome.kind === "lost" && position.lost < (LOST_BUDGETS[outcome.error.code] ?? LOST_BUDGET)) {
    const to = PATH.find((passed) => passed === LOST_GOES_TO[outcome.error.code] || passed === state);
    return { kind: "rewind", to: to ?? "createVolume" };
  }
  return { kind: "unwind", ending: "failed" };
}

/** The answer to trouble that is not the job's. */
function patience(state: WorkingState, outcome: Outcome): Decision {
  const { kind } = outcome;
  if (kind === "blocked") {
    const isMoney = outcome.error.kind === "budget";
    return { kind: "wait", ceilingMs: isMoney ? BUDGET_WAIT_MS : STORAGE_WAIT_MS };
  }
  // The outputs are written: nobody should wait for them until Modal is well. The volume is the reaper's.
  if (state === "deleteVolume") return { kind: "move", to: MACHINE[state].next };
  return kind === "unfit" ? { kind: "release" } : { kind: "pause" };
}

/** The pause before the next attempt is drawn from 0 to this. */
export function backoffCeilingMs(rule: Rule, attempt: number): number {
  return Math.min(rule.longestBackoffMs, rule.firstBackoffMs * 2 ** (attempt - 1));
}

/** Full jitter: a draw from 0 to the ceiling. `random` is in [0, 1). */
export function fullJitterMs(ceilingMs: number, random: number): number {
  return Math.round(ceilingMs * random);
}

/** Actions that undo a job in `state`, newest first. */
export function undoActions(state: WorkingState): readonly UndoAction[] {
  const reached = PATH.slice(0, PATH.findIndex((candidate) => candidate === state) + 1);
  return reached.flatMap((passed) => MACHINE[passed].undo ?? []).toReversed();
}
