import { open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { type ErrorCode, MirumojiError } from "../../job/errors.ts";
import { storageError } from "../../job/storage-errors.ts";
import { shownPath } from "../../media/shown-path.ts";
import { orAborted } from "../rpc/abort.ts";
import { UnansweredError } from "./block-worker.ts";
import { BLOCK_BYTES, blockLength } from "./blocks.ts";
import type { UploadSource } from "./upload-source.ts";

/** An input file that must stay as it is while it is being sent. */
export interface LocalInput extends UploadSource {
  readonly sizeBytes: number;
  close(): Promise<void>;
}

/** Longest wait for a file to close; a network mount that is gone may take for ever. */
const CLOSE_MS = 1000;

/**
 * Opens an input file. Nothing is waited for once the signal has aborted.
 *
 * @throws MirumojiError `INPUT_NOT_FOUND`, `INPUT_NOT_A_FILE`, `INPUT_UNREADABLE`, `STORAGE_UNAVAILABLE`
 */
export async function openLocalInput(localPath: string, signal?: AbortSignal): Promise<LocalInput> {
  const handle = await translated(localPath, async () => await orAborted(open(localPath, "r"), signal));
  try {
    const atOpening = await translated(localPath, async () => await handle.stat({ bigint: true }));
    if (!atOpening.isFile())
      throw new MirumojiError("INPUT_NOT_A_FILE", `${shownPath(localPath)} is not a regular file`);
    const sizeBytes = Number(atOpening.size);
    const changed = (why: string): MirumojiError =>
      new MirumojiError(
        "INPUT_CHANGED",
        `${shownPath(localPath)} changed while it was being sent: ${why}; submit the job when the file is written`,
      );
    return {
      sizeBytes,
      expectedBytes: sizeBytes,
      isRepeatable: true,
      changed,
      load: async (index, block, threads, stop) =>
        await translated(localPath, async () => {
          const length = Math.max(0, blockLength(sizeBytes, index));
          const part = { fd: handle.fd, position: index * BLOCK_BYTES, memory: block.memory, length };
          const loading = threads.of(atOpening.dev).load(part, stop);
          const loaded = await loading.catch((error: unknown) => {
            if (error instanceof UnansweredError) block.forgetMemory();
            throw error;
          });
          if (loaded.readBytes < length) throw changed(`it ends before byte ${sizeBytes}`);
          return loaded;
        }),
      inFile: {
        device: atOpening.dev,
        failed: (error) => failureOf(localPath, error),
        part: (index) => ({ fd: handle.fd, position: index * BLOCK_BYTES }),
        hash: async (index, threads, stop) =>
          await translated(localPath, async () => {
            const length = Math.max(0, blockLength(sizeBytes, index));
            const part = { fd: handle.fd, position: index * BLOCK_BYTES, length };
            const hashed = await threads.of(atOpening.dev).hash(part, stop);
            if (hashed.readBytes < length) throw changed(`it ends before byte ${sizeBytes}`);
            return hashed;
          }),
      },
      assertUnchanged: async () => {
        const now = await translated(
          localPath,
          async () => await orAborted(handle.stat({ bigint: true }), signal),
        );
        if (now.size !== atOpening.size) throw changed(`it had ${atOpening.size} bytes and has ${now.size}`);
        if (now.mtimeNs !== atOpening.mtimeNs) throw changed("its modification time is a new one");
      },
      close: async () => await Promise.race([handle.close(), sleep(CLOSE_MS, undefined, { ref: false })]),
    };
  } catch (thrown) {
    await handle.close();
    throw thrown;
  }
}

async function translated<T>(localPath: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw failureOf(localPath, thrown);
  }
}

function failureOf(localPath: string, thrown: unknown): Error {
  if (thrown instanceof MirumojiError) return thrown;
  const unwell = storageError(shownPath(localPath), thrown);
  if (unwell !== null) return unwell;
  const { code, message } = thrown as NodeJS.ErrnoException;
  const meaning: ErrorCode =
    code === "ENOENT" || code === "ENOTDIR"
      ? "INPUT_NOT_FOUND"
      : code === "EISDIR"
        ? "INPUT_NOT_A_FILE"
        : "INPUT_UNREADABLE";
  return new MirumojiError(meaning, `${shownPath(localPath)}: ${message}`, { cause: thrown });
}
