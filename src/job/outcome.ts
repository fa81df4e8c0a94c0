import type { MirumojiError } from "./errors.ts";

/** Outcome of one attempt at a step. Expected results are values; only errors are thrown. */
export type Outcome =
  | { readonly kind: "done" }
  /** The call is still running. */
  | { readonly kind: "pending" }
  /** The worker's storage is unwell: the job waits for it. */
  | { readonly kind: "blocked"; readonly error: MirumojiError }
  | { readonly kind: "transient"; readonly error: MirumojiError }
  | { readonly kind: "permanent"; readonly error: MirumojiError }
  | { readonly kind: "throttled"; readonly error: MirumojiError; readonly retryAfterMs: number | undefined }
  /** Modal cannot be reached. */
  | { readonly kind: "unreachable"; readonly error: MirumojiError }
  /** This worker is at fault: another one, or this one later, goes on. */
  | { readonly kind: "unfit"; readonly error: MirumojiError }
  | { readonly kind: "lost"; readonly error: MirumojiError }
  | { readonly kind: "cancelled"; readonly error: MirumojiError }
  | { readonly kind: "interrupted"; readonly error: MirumojiError };

/** The one place where an error becomes an outcome: its kind says which. */
export function outcomeOf(error: MirumojiError): Outcome {
  switch (error.kind) {
    case "input":
    case "remote":
    case "defect":
      return { kind: "permanent", error };
    case "storage":
    case "budget":
      return { kind: "blocked", error };
    case "transient":
      return { kind: "transient", error };
    case "platform":
      return { kind: "unreachable", error };
    case "worker":
      return { kind: "unfit", error };
    case "quota":
      return { kind: "throttled", error, retryAfterMs: error.retryAfterMs };
    case "lost":
      return { kind: "lost", error };
    case "cancelled":
      return { kind: "cancelled", error };
    case "interrupted":
      return { kind: "interrupted", error };
  }
}

/** The error behind an outcome that has one. */
export function errorOf(outcome: Outcome): MirumojiError | null {
  return "error" in outcome ? outcome.error : null;
}
