import type { FileHandle } from "node:fs/promises";
import { MirumojiError } from "../../job/errors.ts";
import type { FetchedBlock } from "./block-store.ts";
import { BLOCK_BYTES, sameBytes, sha256 } from "./blocks.ts";
import { openResumableFile, type ResumableFile } from "./resumable-file.ts";
import type { Block, Seat } from "./transfer-room.ts";

/** Where a download goes, block by block, in any order. */
export interface DownloadSink {
  /** Is told the size first. Says which blocks it has already. */
  begin(sizeBytes: number): Promise<(index: number) => boolean>;
  /** Keeps block `index`, which is `length` bytes long with its zeros; false when its digest is another. */
  keep(index: number, length: number, block: Block, fetched: FetchedBlock): Promise<boolean>;
  /** All blocks are there. */
  finish(): Promise<void>;
}

/**
 * An open local file. Its size is set first, so that blocks may come in any order.
 *
 * @param contentSha256 - of the content, where it is known and the file is open for reading too: what an
 * interrupted download of the same content has left is not fetched again
 * @throws MirumojiError `DISK_FULL`, `OUTPUT_UNWRITABLE` from its methods
 */
export function fileSink(
  into: FileHandle,
  thread: Seat["thread"],
  remotePath: string,
  contentSha256: string | undefined,
): DownloadSink {
  let file: ResumableFile | undefined;
  return {
    begin: async (sizeBytes) =>
      await written(remotePath, async () => {
        const opened = await openResumableFile(into, sizeBytes, contentSha256);
        file = opened;
        return (index: number) => opened.has(index);
      }),
    keep: async (index, length, { memory }, fetched) =>
      await written(remotePath, async () => {
        const part = { fd: into.fd, position: index * BLOCK_BYTES, memory, length, ...fetched };
        const isSaved = await thread.save(part);
        if (isSaved) await file?.arrived(index);
        return isSaved;
      }),
    finish: async () => await written(remotePath, async () => await file?.finish()),
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
    finish: async () => await Promise.resolve(),
    async keep(index, _length, { bytes }, { storedBytes, digest }) {
      const stored = bytes.slice(0, storedBytes);
      if (digest !== undefined && !sameBytes(await sha256(stored), digest)) return false;
      content.set(stored, index * BLOCK_BYTES);
      return true;
    },
  };
}

async function written<T>(remotePath: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new MirumojiError(
      code === "ENOSPC" || code === "EDQUOT" ? "DISK_FULL" : "OUTPUT_UNWRITABLE",
      `${remotePath} cannot be saved: ${message}`,
      { cause },
    );
  }
}
