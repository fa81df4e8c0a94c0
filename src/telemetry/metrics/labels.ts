import { JOB_TYPES } from "../../job/contract.ts";
import { type ErrorCode, ERRORS, isErrorCode } from "../../job/errors.ts";
import { MACHINE, type WorkingState } from "../../job/machine.ts";

/*
 * Closed lists of label values: every new value is a new series for the life of the process. Values outside
 * their list become `other`.
 */

const OTHER = "other";
/** Value of `code` for success. */
export const NO_CODE = "none";

export const TYPES = [...JOB_TYPES, "unknown"] as const;
export const STATES = Object.keys(MACHINE) as WorkingState[];
export const STATUSES = ["completed", "failed", "cancelled"] as const;
export const OUTCOMES = [
  "done",
  "blocked",
  "transient",
  "permanent",
  "throttled",
  "unreachable",
  "unfit",
  "lost",
  "cancelled",
  "interrupted",
] as const;
/** Reasons to take no jobs here, and reasons for which the whole pool takes none. */
export const HOLD_REASONS = ["disk", "token", "unreachable", "pool", "prefix"] as const;
export const PAUSE_CODES = ["MODAL_UNAVAILABLE", "MODAL_THROTTLED"] as const;
export const CALL_OUTCOMES = ["succeeded", "failed", "cancelled", "lost"] as const;
export const DIRECTIONS = ["upload", "download"] as const;
export const REASONS = ["job finished", "job is gone", "job uses another volume"] as const;
export const RECORDS = ["cancel", "ledger", "checkpoint", "ended", "job"] as const;
export const CLEANUPS = ["followLogs", "cancelCall", "deleteVolume", "undo"] as const;
export const QUEUE_STATES = [
  "active",
  "waiting",
  "delayed",
  "prioritized",
  "paused",
  "completed",
  "failed",
] as const;

/** Gives the value if the list has it, else `other`. */
export function oneOf(known: readonly string[], value: string): string {
  return known.includes(value) ? value : OTHER;
}

/** Maps a failure code to a label. */
export function codeLabel(code: string | null): string {
  if (code === null) return NO_CODE;
  return isErrorCode(code) ? code : OTHER;
}

const ALL_CODES = Object.keys(ERRORS).filter(isErrorCode);

function codesOf(...kinds: readonly (typeof ERRORS)[ErrorCode]["kind"][]): ErrorCode[] {
  return ALL_CODES.filter((code) => kinds.includes(ERRORS[code].kind));
}

/** Codes that a job can fail with. */
export const FAILURE_CODES = codesOf("input", "remote", "storage", "transient", "platform", "lost", "defect");
/** Codes for which a step is retried. */
export const RETRY_CODES = codesOf("storage", "transient", "platform", "quota");

const MOST_METHODS = 64;

/** Maps a gRPC method to a label. Methods come from our own calls; the limit is a safeguard. */
export function methodLabels(): (method: string) => string {
  const seen = new Set<string>();
  return (method) => {
    if (!/^[A-Z]\w{0,60}$/u.test(method)) return OTHER;
    if (seen.size < MOST_METHODS) seen.add(method);
    return seen.has(method) ? method : OTHER;
  };
}

const GRPC_CODES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
  "ABORTED_BY_US",
] as const;

export function grpcCodeLabel(code: string): string {
  return oneOf(GRPC_CODES, code);
}
