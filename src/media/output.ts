import { constants } from "node:fs";
import { access, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type ErrorCode, MirumojiError } from "../job/errors.ts";
import type { OutputFile } from "../job/facts.ts";
import type { PlannedOutput } from "../job/paths.ts";
import type { OutputToWrite } from "../ports/media.ts";
import { hashFile } from "./hash-file.ts";
import { hasErrno, isMissing } from "./errno.ts";
import type { MediaRoot } from "./media-root.ts";

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
 * Writes outputs, all or none: each into a temporary file beside its target, flushed to disk; when all of
 * them are complete they are renamed. The temporary name is the job's own, so that a second try takes the
 * place of the first, and goes on where a download was cut off.
 *
 * @throws MirumojiError `OUTPUT_WRITE_FAILED`, `DISK_FULL`, and whatever `fill` throws
 */
export async function writeOutputs(
  root: MediaRoot,
  { jobId, outputs }: { jobId: string; outputs: readonly OutputToWrite[] },
): Promise<OutputFile[]> {
  const staged: StagedOutput[] = [];
  /** Temporary files that were not there before. */
  const made = new Set<PlannedOutput>();
  try {
    for (const { output, fill, sha256 } of outputs) {
      const target = await resolveOutput(root, output);
      const partial = partialPath(target, jobId);
      // Only a download goes on in what it finds, and writes nothing there that is not in the result already. Else
      // a worker that was frozen with the old file open must not reach into the one that becomes the output.
      if (sha256 === undefined) await rm(partial, { force: true }).catch(() => undefined);
      if (!(await isThere(partial))) made.add(output);
      const written = await stage(output, target, partial, fill);
      if (sha256 !== undefined && written.sha256 !== sha256) {
        const what = JSON.stringify(output.path);
        throw new MirumojiError(
          "TRANSFER_CORRUPT",
          `what arrived for ${what} is not what was made beside the GPU`,
        );
      }
      staged.push({ output, target, partial, ...written });
    }
    for (const { output, target, partial } of staged) await publish(output, target, partial);
    return staged.map(({ output, bytes, sha256 }) => ({
      path: output.path,
      format: output.format,
      bytes,
      sha256,
    }));
  } catch (error) {
    // Files that cannot be removed now are removed by the undo step or overwritten by the next try. Without
    // the lease there is neither, only another worker's file, or ours that nobody would ever remove.
    const isOurs = (output: PlannedOutput) =>
      isLeaseLost(error) ? made.has(output) : !isWorthKeeping(error);
    await Promise.all(
      outputs.map(async ({ output }) => {
        if (isOurs(output)) await removePartialOutput(root, jobId, output).catch(() => undefined);
      }),
    );
    throw error;
  }
}

function isLeaseLost(error: unknown): boolean {
  return error instanceof MirumojiError && error.code === "LEASE_LOST";
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}

/** Whether the next try can go on with what there is: nothing was wrong here, only the way was cut. */
function isWorthKeeping(error: unknown): boolean {
  return error instanceof MirumojiError && (error.kind === "interrupted" || CUT_OFF.has(error.code));
}

const CUT_OFF: ReadonlySet<string> = new Set<ErrorCode>(["TRANSFER_FAILED", "MODAL_UNAVAILABLE"]);

interface StagedOutput {
  readonly output: PlannedOutput;
  readonly target: string;
  readonly partial: string;
  readonly bytes: number;
  readonly sha256: string;
}

async function stage(
  output: PlannedOutput,
  target: string,
  partial: string,
  fill: OutputToWrite["fill"],
): Promise<{ bytes: number; sha256: string }> {
  try {
    await mkdir(dirname(target), { recursive: true });
    // Not emptied: an interrupted download goes on in it.
    const handle = await open(partial, constants.O_RDWR | constants.O_CREAT, 0o644);
    try {
      await fill(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    return await hashFile(partial);
  } catch (error) {
    throw translateWriteError(error, output.path, "OUTPUT_WRITE_FAILED");
  }
}

async function publish(output: PlannedOutput, target: string, partial: string): Promise<void> {
  try {
    await rename(partial, target);
    await syncFolder(dirname(target));
  } catch (error) {
    throw translateWriteError(error, output.path, "OUTPUT_WRITE_FAILED");
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

/** `code`: before the job has cost anything its output is wrong; later it is worth trying again. */
function translateWriteError(
  error: unknown,
  path: string,
  code: "OUTPUT_UNWRITABLE" | "OUTPUT_WRITE_FAILED" = "OUTPUT_UNWRITABLE",
): unknown {
  if (hasErrno(error, "ENOSPC", "EDQUOT")) {
    return new MirumojiError("DISK_FULL", `no space left for output ${JSON.stringify(path)}; free some`, {
      cause: error,
    });
  }
  if (isMissing(error) || hasErrno(error, ...WRITE_ERRNOS)) {
    const why = error instanceof Error ? error.message : String(error);
    return new MirumojiError(code, `output ${JSON.stringify(path)} cannot be written: ${why}`, {
      cause: error,
    });
  }
  return error;
}

const WRITE_ERRNOS = ["EACCES", "EPERM", "EROFS", "EISDIR", "ENAMETOOLONG", "EEXIST", "ELOOP", "ENOTEMPTY"];

function unwritable(path: string, why: string, cause?: unknown): MirumojiError {
  return new MirumojiError("OUTPUT_UNWRITABLE", `output ${JSON.stringify(path)} cannot be written: ${why}`, {
    cause,
  });
}
