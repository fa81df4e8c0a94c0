import { API_ERRORS } from "./api-errors.ts";
import { cutText } from "./cut-text.ts";
import type { ErrorKind } from "./error-kinds.ts";
import { PLACE_ERRORS } from "./place-errors.ts";
import { PLATFORM_ERRORS } from "./platform-errors.ts";
import { REDIS_ERRORS } from "./redis-errors.ts";
import { REQUEST_ERRORS } from "./request-errors.ts";
import { WORKER_ERRORS } from "./worker-errors.ts";

export type { ErrorKind };

/**
 * Every failure in the system is one of these codes. The code is stored, logged, counted and shown; the kind decides
 * how the machine answers it (see `machine.ts`). `docs/errors.md` is generated from this closed list.
 */
export const ERRORS = {
  ...REQUEST_ERRORS,
  ...PLACE_ERRORS,
  ...PLATFORM_ERRORS,
  ...WORKER_ERRORS,
  ...REDIS_ERRORS,
  ...API_ERRORS,
} as const;

/** A stable, documented error code. */
export type ErrorCode = keyof typeof ERRORS;

/** Messages quote what servers, programs and users said; records, logs and pages hold no more of it than this. */
const MESSAGE_CHARS = 4000;

/** The one error class that crosses module borders. Its message says what to do; a very long one is cut. */
export class MirumojiError extends Error {
  override readonly name = "MirumojiError";
  readonly code: ErrorCode;
  /** For `quota`: how long the server asked us to wait. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; retryAfterMs?: number } = {}) {
    super(
      cutText(message, MESSAGE_CHARS),
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
  }

  get kind(): ErrorKind {
    return ERRORS[this.code].kind;
  }
}

/** Whether a string is one of our codes (codes also arrive from the handler, as data). */
export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === "string" && Object.hasOwn(ERRORS, value);
}

/** Whether it says something of Modal, or of this worker's way to it, and nothing of the job. */
export function isPlatformTrouble({ kind }: MirumojiError): boolean {
  return kind === "platform" || kind === "quota" || kind === "worker";
}

/** Any thrown value as one of ours; one that was never translated becomes `UNEXPECTED`, with the cause kept. */
export function toMirumojiError(thrown: unknown): MirumojiError {
  if (thrown instanceof MirumojiError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new MirumojiError("UNEXPECTED", message, { cause: thrown });
}
