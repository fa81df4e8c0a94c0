import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { hasErrno } from "./errno.ts";
import type { HeldTarget } from "./media-root.ts";
import { isSameFile, look } from "./same-file.ts";

/** The temporary file of an output, beside it. */
export interface PartialFile {
  readonly handle: FileHandle;
  /** Whether it was not there before. */
  readonly isNew: boolean;
}

/** Path of the temporary file; the job's own, so that another worker's next try finds it. */
export function partialPath({ folder, name }: HeldTarget, jobId: string): string {
  // Long names keep room for the suffix within the usual 255 bytes.
  const stem = Buffer.from(name)
    .subarray(0, 120)
    .toString("utf8")
    .replace(/\uFFFD{1,3}$/u, "");
  const job = createHash("sha256").update(jobId).digest("hex").slice(0, 32);
  return folder.entry(`.${stem}.${job}.part`);
}

/**
 * Opens the temporary file for reading and writing: the one that is there, or a new one. Its name can be guessed, so
 * what is there is only taken when it is a plain file without other names; anything else (a link, a pipe) would
 * lead what is written to somewhere else, and is removed.
 *
 * @param options.fresh - never takes what is there
 * @throws node's own errors
 */
export async function openPartial(
  target: HeldTarget,
  path: string,
  { fresh }: { readonly fresh: boolean },
): Promise<PartialFile> {
  const kept = fresh ? null : await openPlain(path);
  if (kept !== null) return { handle: kept, isNew: false };
  await rm(path, { force: true });
  const handle = await open(path, OPEN | constants.O_CREAT | constants.O_EXCL, 0o644);
  try {
    await target.folder.assertSame();
  } catch (error) {
    await handle.close();
    throw error;
  }
  return { handle, isNew: true };
}

/** Does not wait for the other end of a pipe. */
const OPEN = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const NOT_PLAIN = ["ENOENT", "ELOOP", "EMLINK", "EISDIR", "ENXIO", "EACCES", "EPERM", "ETXTBSY"];

async function openPlain(path: string): Promise<FileHandle | null> {
  let handle: FileHandle;
  try {
    handle = await open(path, OPEN);
  } catch (error) {
    if (hasErrno(error, ...NOT_PLAIN)) return null;
    throw error;
  }
  const info = await handle.stat();
  if (info.isFile() && info.nlink === 1) return handle;
  await handle.close();
  return null;
}

/** Removes the temporary file, if the path still leads to the one that is open. */
export async function removePartial(path: string, handle: FileHandle): Promise<void> {
  if (isSameFile(await look(path), await handle.stat({ bigint: true }))) await rm(path, { force: true });
}
