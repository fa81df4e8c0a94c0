import { randomBytes } from "node:crypto";
import { type FileHandle, lstat, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MirumojiError } from "../job/errors.ts";
import { hasErrno, isMissing } from "../media/errno.ts";
import type { MediaRoot } from "../media/media-root.ts";
import { invalid } from "./volume-paths.ts";

/**
 * Resolves the path of a file below a folder; symlinks must not lead out of it.
 *
 * @throws MirumojiError `VOLUME_PATH_INVALID`, `FILE_EXISTS` where it may not be overwritten
 */
export async function localTarget(root: MediaRoot, path: string, overwrite: boolean): Promise<string> {
  const target = await root.resolveTarget(path, "local path").catch((cause: unknown) => {
    if (cause instanceof MirumojiError) throw invalid(path, `would lead out of ${root.path}`);
    throw unwritable(path, cause);
  });
  const existing = await lstat(target).catch((error: unknown) => {
    if (isMissing(error)) return null;
    throw unwritable(target, error);
  });
  if (existing?.isDirectory() === true) throw exists(target, "is a folder");
  if (existing !== null && !overwrite) throw exists(target, "is there already; --force overwrites it");
  return target;
}

/**
 * Writes a local file atomically: into a temporary file beside it, flushed to disk, then renamed.
 *
 * @throws MirumojiError `OUTPUT_UNWRITABLE`, `DISK_FULL`, and whatever `fill` throws
 */
export async function writeWhole(target: string, fill: (handle: FileHandle) => Promise<void>): Promise<void> {
  const partial = join(dirname(target), `.mirumoji-${randomBytes(8).toString("hex")}.part`);
  try {
    await mkdir(dirname(target), { recursive: true });
    const handle = await open(partial, "wx", 0o644);
    try {
      await fill(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial, target);
  } catch (error) {
    await rm(partial, { force: true }).catch(() => undefined);
    throw error instanceof MirumojiError ? error : unwritable(target, error);
  }
}

function exists(target: string, why: string): MirumojiError {
  return new MirumojiError("FILE_EXISTS", `${target} ${why}`);
}

function unwritable(target: string, cause: unknown): MirumojiError {
  return new MirumojiError(
    hasErrno(cause, "ENOSPC", "EDQUOT") ? "DISK_FULL" : "OUTPUT_UNWRITABLE",
    `${target} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`,
    { cause },
  );
}
