import type { ErrorKind } from "./error-kinds.ts";
import { ERRORS } from "./error-table.ts";

export { type ErrorKind, ERRORS };

/** A stable, documented error code. */
export type ErrorCode = keyof typeof ERRORS;

/** The one error class that crosses module borders. Its message says what to do. */
export class MirumojiError extends Error {
  override readonly name = "MirumojiError";
  readonly code: ErrorCode;
  /** For `quota`: how long the server asked us to wait. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; retryAfterMs?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
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

/** Any thrown value as one of ours; what nobody translated becomes `UNEXPECTED`, with the cause kept. */
export function toMirumojiError(thrown: unknown): MirumojiError {
  if (thrown instanceof MirumojiError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new MirumojiError("UNEXPECTED", message, { cause: thrown });
}
