import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { type ErrorCode, MirumojiError } from "../job/errors.ts";
import type { OutputFile } from "../job/facts.ts";
import type { PlannedOutput } from "../job/paths.ts";
import type { MediaFiles, OutputToWrite } from "../ports/media.ts";
import { hashFile } from "./hash-file.ts";
import { descriptorPath, HAS_DESCRIPTOR_PATHS } from "./held-folder.ts";
import type { MediaRoot } from "./media-root.ts";
import { assertNotInput } from "./not-input.ts";
import { translateWriteError } from "./output-errors.ts";
import { openPartial, type PartialFile, partialPath, removePartial } from "./partial-file.ts";
import { assertOwn, isPublished, publish, replace, type Staged } from "./publish.ts";
import { type StorageGate, unlessAborted } from "./storage-gate.ts";

/** An output on its way. */
interface Writing extends Staged {
  readonly output: PlannedOutput;
  readonly file: PartialFile;
  readonly bytes: number;
}

type WriteOptions = Parameters<MediaFiles["writeOutputs"]>[0];

/** How long clean-up may take; what hangs longer finishes by itself. */
const CLEAN_UP_MS = 5000;

/**
 * Writes outputs, all or none: each into a temporary file beside its target, flushed to disk; when all of
 * them are complete they get their names. The temporary name is the job's own, so that a second try takes the
 * place of the first, and goes on where a download was cut off.
 *
 * @throws MirumojiError `OUTPUT_WRITE_FAILED`, `DISK_FULL`, `STORAGE_UNAVAILABLE`, the signal's reason, and whatever
 * `fill` throws
 */
export async function writeOutputs(
  root: MediaRoot,
  gate: StorageGate,
  options: WriteOptions,
): Promise<OutputFile[]> {
  const { outputs, input, overwrite, signal } = options;
  const begun: Begun[] = [];
  const work: StageOptions["work"] = async (output, act, { isLong = false, late } = {}) =>
    await translating(output, async () => await gate({ path: output.path, signal, isLong }, act, late));
  try {
    const staged: Writing[] = [];
    for (const wanted of outputs) staged.push(await stage(root, wanted, { ...options, work, begun }));
    // All are looked at before one is published.
    for (const one of staged) {
      const check = async () =>
        await (overwrite ? assertNotInput(root, one.target, one.output, input) : assertOwn(one));
      await work(one.output, check, { isLong: true });
    }
    for (const one of staged) {
      const give = async () => await (overwrite ? replace(one) : publish(one));
      await work(one.output, give, { isLong: true });
    }
    await release(begun, gate, () => false);
    return staged.map(({ output: { path, format }, bytes, sha256 }) => ({ path, format, bytes, sha256 }));
  } catch (error) {
    // Files that cannot be removed now are removed by the undo step or overwritten by the next try. Without
    // the lease there is neither, only another worker's file, or ours that nobody would ever remove.
    await release(begun, gate, ({ file }) => (isLeaseLost(error) ? file.isNew : !isWorthKeeping(error)));
    throw error;
  }
}

/** Files and folders that were opened for an output. */
interface Begun extends Pick<Writing, "path" | "partial" | "file" | "target"> {
  /** Whether the output has its name already. */
  readonly isDone: boolean;
  /** Settles when nothing writes into the file any more. */
  filled: Promise<unknown>;
}

/** Closes them, and removes those temporary files that are no use and no proof. */
async function release(
  begun: readonly Begun[],
  gate: StorageGate,
  isUseless: (one: Begun) => boolean,
): Promise<void> {
  const signal = AbortSignal.timeout(CLEAN_UP_MS);
  for (const one of begun) {
    const act = async () => await cleanUp(one, isUseless(one));
    await gate({ path: one.path, signal }, act).catch(() => undefined);
  }
}

async function cleanUp({ filled, file, target, partial }: Begun, isUseless: boolean): Promise<void> {
  await filled;
  try {
    if (isUseless && !(await isPublished({ target, partial }))) await removePartial(partial, file.handle);
  } finally {
    await file.handle.close();
    await target.folder[Symbol.asyncDispose]();
  }
}

interface StageOptions extends WriteOptions {
  readonly work: <T>(
    output: PlannedOutput,
    act: () => Promise<T>,
    how?: { readonly isLong?: boolean; readonly late?: (result: T) => Promise<void> },
  ) => Promise<T>;
  /** Gets what is opened. */
  readonly begun: Begun[];
}

async function stage(
  root: MediaRoot,
  { output, fill, sha256: wanted }: OutputToWrite,
  options: StageOptions,
): Promise<Writing> {
  const { signal, work, begun } = options;
  const isFresh = wanted === undefined;
  const one = await work(output, async () => await begin(root, output, { ...options, isFresh }), {
    // Opened after nobody waited for it any more: whoever works on the job now has another one.
    late: async (begunLate) => await cleanUp(begunLate, begunLate.file.isNew),
  });
  begun.push(one);
  const { isDone, partial, file, target, path } = one;
  if (!isDone) {
    const filling = fill(file.handle);
    // Bytes that are still written after an abort must not meet another file under the same descriptor.
    one.filled = filling.catch(() => undefined);
    await translating(output, async () => await unlessAborted(signal, filling));
  }
  const hash = async () => {
    if (!isDone) await file.handle.sync();
    return await hashFile(HAS_DESCRIPTOR_PATHS ? descriptorPath(file.handle) : partial);
  };
  const written = await work(output, hash, { isLong: true });
  if (!isDone && wanted !== undefined && written.sha256 !== wanted) {
    const what = JSON.stringify(output.path);
    throw new MirumojiError(
      "TRANSFER_CORRUPT",
      `what arrived for ${what} is not what was made beside the GPU`,
    );
  }
  return { output, path, target, partial, file, ...written };
}

/** Opens the temporary file of an output, or the output itself where an earlier try has published it. */
async function begin(
  root: MediaRoot,
  output: PlannedOutput,
  { jobId, overwrite, isFresh }: { jobId: string; overwrite: boolean; isFresh: boolean },
): Promise<Begun> {
  const target = await root.holdTarget(output.path, "output", { create: true });
  try {
    const partial = partialPath(target, jobId);
    const isDone = !overwrite && (await isPublished({ target, partial }));
    // Only a download goes on in what it finds, and writes nothing there that is not in the result already. Else
    // a worker that was frozen with the old file open must not reach into the one that becomes the output.
    const file = isDone ? await openDone(partial) : await openPartial(target, partial, { fresh: isFresh });
    return { path: output.path, partial, file, target, isDone, filled: Promise.resolve() };
  } catch (error) {
    await target.folder[Symbol.asyncDispose]();
    throw error;
  }
}

async function openDone(path: string): Promise<PartialFile> {
  return { handle: await open(path, constants.O_RDONLY | constants.O_NOFOLLOW), isNew: false };
}

async function translating<T>(output: PlannedOutput, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw translateWriteError(error, output.path, "OUTPUT_WRITE_FAILED");
  }
}

function isLeaseLost(error: unknown): boolean {
  return error instanceof MirumojiError && error.code === "LEASE_LOST";
}

/** Whether the next try can go on with what there is: nothing was wrong here, only the way was cut. */
function isWorthKeeping(error: unknown): boolean {
  return error instanceof MirumojiError && (error.kind === "interrupted" || CUT_OFF.has(error.code));
}

const CUT_OFF: ReadonlySet<string> = new Set<ErrorCode>([
  "TRANSFER_FAILED",
  "MODAL_UNAVAILABLE",
  "MODAL_FAILED",
  "MODAL_THROTTLED",
  "MODAL_UNAUTHENTICATED",
  "STORAGE_UNAVAILABLE",
  "OUTPUT_WRITE_FAILED",
]);
