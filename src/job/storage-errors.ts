import { MirumojiError } from "./errors.ts";

/**
 * Names of errors by which a file system says that it is unwell, and not that the file is: a network mount that does not
 * answer or was mounted anew, a failing disk, a table of open files that is full.
 */
const UNWELL: ReadonlySet<unknown> = new Set([
  "EIO",
  "ESTALE",
  "ETIMEDOUT",
  "EMFILE",
  "ENFILE",
  "ENOMEM",
  "EAGAIN",
  "EBUSY",
  "EINTR",
  "ENODEV",
  "ENXIO",
  "ENOTCONN",
  "ECONNRESET",
  "ECONNABORTED",
  "ECONNREFUSED",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "ENETDOWN",
  "ENETUNREACH",
  "EREMOTEIO",
]);
const FULL: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT"]);

/** The error for a file system that is unwell or full; null when the error says something about the file. */
export function storageError(what: string, cause: unknown): MirumojiError | null {
  if (!(cause instanceof Error) || !("code" in cause)) return null;
  if (FULL.has(cause.code)) {
    return new MirumojiError("DISK_FULL", `${what}: no space is left (${cause.message}); free some`, {
      cause,
    });
  }
  if (!UNWELL.has(cause.code)) return null;
  const advice = "check the disk or the mount; the job waits for it";
  return new MirumojiError("STORAGE_UNAVAILABLE", `${what}: ${cause.message}; ${advice}`, { cause });
}
