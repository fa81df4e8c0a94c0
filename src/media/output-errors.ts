import { MirumojiError } from "../job/errors.ts";
import { storageError } from "../job/storage-errors.ts";
import { hasErrno, isMissing } from "./errno.ts";

const WRITE_ERRNOS = [
  "EACCES",
  "EPERM",
  "EROFS",
  "EISDIR",
  "ENAMETOOLONG",
  "EEXIST",
  "ELOOP",
  "ENOTEMPTY",
  "EFBIG",
];

/** `code`: before the job has cost anything its output is wrong; later it is worth trying again. */
export function translateWriteError(
  error: unknown,
  path: string,
  code: "OUTPUT_UNWRITABLE" | "OUTPUT_WRITE_FAILED" = "OUTPUT_UNWRITABLE",
): unknown {
  const unwell = storageError(`output ${JSON.stringify(path)}`, error);
  if (unwell !== null) return unwell;
  if (!isMissing(error) && !hasErrno(error, ...WRITE_ERRNOS)) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new MirumojiError(code, `output ${JSON.stringify(path)} cannot be written: ${why}`, {
    cause: error,
  });
}

/** The error for an output that cannot be, before the job has cost anything. */
export function unwritable(path: string, why: string, cause?: unknown): MirumojiError {
  return new MirumojiError("OUTPUT_UNWRITABLE", `output ${JSON.stringify(path)} cannot be written: ${why}`, {
    cause,
  });
}
