import type { FileHandle } from "node:fs/promises";
import { MirumojiError } from "../../job/errors.ts";
import { storageError } from "../../job/storage-errors.ts";
import { fetchIntoMemory, FinalError } from "./block-store.ts";
import { type FetchedBlock, FileError } from "./block-worker.ts";
import { BLOCK_BYTES } from "./blocks.ts";
import { openResumableFile, type ResumableFile } from "./resumable-file.ts";
import type { TransferSlot } from "./transfer-limiter.ts";

/** Target of a download; takes blocks in any order. */
export interface DownloadSink {
  /** Takes the size and tells which blocks are there already. */
  begin(sizeBytes: number): Promise<(index: number) => boolean>;
  /** Fetches block `index`, which is `length` bytes long with its zeros, once. */
  fetch(index: number, length: number, url: string, signal: AbortSignal): Promise<FetchedBlock>;
  /** Records that a fetched block is correct. */
  keep(index: number): Promise<void>;
  /** Finishes the target when all blocks are there. */
  finish(): Promise<void>;
}

/**
 * An open local file. Its size is set first, so that blocks may come in any order.
 *
 * @param contentSha256 - of the content, where it is known and the file is open for reading too: what an
 * interrupted download of the same content has left is not fetched again
 * @throws MirumojiError `DISK_FULL`, `STORAGE_UNAVAILABLE`, `OUTPUT_WRITE_FAILED` from its methods; from `fetch` in a `FinalError`
 */
export function fileSink(
  into: FileHandle,
  threads: TransferSlot["threads"],
  remotePath: string,
  contentSha256: string | undefined,
): DownloadSink {
  let file: ResumableFile | undefined;
  let device: bigint | null = null;
  const written = async <T>(work: Promise<T>): Promise<T> =>
    await work.catch((error: unknown) => {
      throw cannotBeSaved(remotePath, error);
    });
  return {
    begin: async (sizeBytes) => {
      ({ dev: device } = await written(into.stat({ bigint: true })));
      const opened = await written(openResumableFile(into, sizeBytes, contentSha256));
      file = opened;
      return (index) => opened.has(index);
    },
    fetch: async (index, length, url, signal) => {
      const part = { fd: into.fd, position: index * BLOCK_BYTES, length, url };
      return await threads
        .of(device)
        .fetch(part, signal)
        .catch((error: unknown) => {
          if (error instanceof FileError) throw new FinalError(cannotBeSaved(remotePath, error));
          throw error;
        });
    },
    keep: async (index) => await written(Promise.resolve(file?.arrived(index))),
    finish: async () => await written(Promise.resolve(file?.finish())),
  };
}

/**
 * Memory, for results that are read and not kept.
 *
 * @throws MirumojiError `FUNCTION_RESULT_INVALID` from `begin` when there are more than `maxBytes`
 */
export function memorySink(
  maxBytes: number,
  remotePath: string,
): DownloadSink & { readonly bytes: () => Buffer<ArrayBuffer> } {
  let content = Buffer.alloc(0);
  return {
    bytes: () => content,
    async begin(sizeBytes) {
      if (sizeBytes > maxBytes) {
        throw new MirumojiError(
          "FUNCTION_RESULT_INVALID",
          `${remotePath} has ${sizeBytes} bytes; more than ${maxBytes} are not read into memory`,
        );
      }
      content = Buffer.alloc(sizeBytes);
      return () => false;
    },
    fetch: async (index, length, url, signal) => {
      const start = index * BLOCK_BYTES;
      return await fetchIntoMemory(url, content.subarray(start, start + length), signal);
    },
    keep: async () => await Promise.resolve(),
    finish: async () => await Promise.resolve(),
  };
}

function cannotBeSaved(remotePath: string, cause: unknown): MirumojiError {
  const { message } = cause as NodeJS.ErrnoException;
  return (
    storageError(remotePath, cause) ??
    new MirumojiError("OUTPUT_WRITE_FAILED", `${remotePath} cannot be saved: ${message}`, { cause })
  );
}
