import { constants } from "node:fs";
import { access, type FileHandle, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { MirumojiError } from "../job/errors.ts";
import type { OutputFile } from "../job/facts.ts";
import type { PlannedOutput } from "../job/paths.ts";
import { hashFile } from "./hash-file.ts";
import { hasErrno, isMissing, type MediaRoot } from "./media-root.ts";

/**
 * Checks that an output could be written, without writing it.
 *
 * @throws MirumojiError `OUTPUT_UNWRITABLE`, `PATH_OUTSIDE_MEDIA_ROOT`
 */
export async function checkOutput(root: MediaRoot, output: PlannedOutput): Promise<void> {
  const target = await resolveOutput(root, output);
  const existing = await stat(target).catch((error: unknown) => {
    if (isMissing(error)) return null;
    throw translateWriteError(error, output.path);
  });
  if (existing !== null && !existing.isFile())
    throw unwritable(output.path, "there is a folder of this name");
  const folder = await nearestFolder(dirname(target), output.path);
  try {
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw unwritable(output.path, "the folder may not be written by the worker's user", cause);
  }
}

/**
 * Writes one output whole or not at all: into a temporary file beside the target, flushed to disk, then
 * renamed. The temporary name is the job's own, so that a second try takes the place of the first.
 *
 * @throws MirumojiError `OUTPUT_UNWRITABLE`, `DISK_FULL`, and whatever `fill` throws
 */
export async function writeOutput(
  root: MediaRoot,
  {
    jobId,
    output,
    fill,
  }: { jobId: string; output: PlannedOutput; fill: (handle: FileHandle) => Promise<void> },
): Promise<OutputFile> {
  const target = await resolveOutput(root, output);
  const partial = partialPath(target, jobId);
  try {
    await mkdir(dirname(target), { recursive: true });
    const handle = await open(partial, "w", 0o644);
    try {
      await fill(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    const { bytes, sha256 } = await hashFile(partial);
    await rename(partial, target);
    await syncFolder(dirname(target));
    return { path: output.path, format: output.format, bytes, sha256 };
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {
      // The undo step and the next try remove it as well.
    });
    throw translateWriteError(error, output.path);
  }
}

/** Removes the temporary file of an output that was never finished; finished outputs stay. */
export async function removePartialOutput(
  root: MediaRoot,
  jobId: string,
  output: PlannedOutput,
): Promise<void> {
  await rm(partialPath(await resolveOutput(root, output), jobId), { force: true });
}

function partialPath(target: string, jobId: string): string {
  // Long names keep room for the suffix within the usual 255 bytes.
  const stem = Buffer.from(basename(target))
    .subarray(0, 120)
    .toString("utf8")
    .replace(/\uFFFD+$/u, "");
  return join(dirname(target), `.${stem}.${encodeURIComponent(jobId).slice(0, 80)}.part`);
}

async function resolveOutput(root: MediaRoot, output: PlannedOutput): Promise<string> {
  try {
    return await root.resolveTarget(output.path, "output");
  } catch (error) {
    throw translateWriteError(error, output.path);
  }
}

/** The lowest folder of the path that exists: missing ones below it will be made. */
async function nearestFolder(folder: string, path: string): Promise<string> {
  try {
    if ((await stat(folder)).isDirectory()) return folder;
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return await nearestFolder(dirname(folder), path);
    throw translateWriteError(error, path);
  }
  throw unwritable(path, `${JSON.stringify(basename(folder))} is not a folder`);
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function translateWriteError(error: unknown, path: string): unknown {
  if (hasErrno(error, "ENOSPC", "EDQUOT")) {
    return new MirumojiError("DISK_FULL", `no space left for output ${JSON.stringify(path)}; free some`, {
      cause: error,
    });
  }
  if (
    isMissing(error) ||
    hasErrno(error, "EACCES", "EPERM", "EROFS", "EISDIR", "ENAMETOOLONG", "EEXIST", "ELOOP")
  ) {
    return unwritable(path, error instanceof Error ? error.message : String(error), error);
  }
  return error;
}

function unwritable(path: string, why: string, cause?: unknown): MirumojiError {
  return new MirumojiError("OUTPUT_UNWRITABLE", `output ${JSON.stringify(path)} cannot be written: ${why}`, {
    cause,
  });
}
