import { open } from "node:fs/promises";
import { type ErrorCode, MirumojiError } from "../../job/errors.ts";
import { BLOCK_BYTES, blockLength } from "./blocks.ts";
import type { UploadSource } from "./upload-source.ts";

/** An input file that must stay as it is while it is being sent. */
export interface LocalInput extends UploadSource {
  readonly sizeBytes: number;
  close(): Promise<void>;
}

/** @throws MirumojiError `INPUT_NOT_FOUND`, `INPUT_NOT_A_FILE`, `INPUT_UNREADABLE` */
export async function openLocalInput(localPath: string): Promise<LocalInput> {
  const handle = await translated(localPath, async () => await open(localPath, "r"));
  try {
    const atOpening = await translated(localPath, async () => await handle.stat({ bigint: true }));
    if (!atOpening.isFile())
      throw new MirumojiError("INPUT_NOT_A_FILE", `${localPath} is not a regular file`);
    const sizeBytes = Number(atOpening.size);
    const changed = (why: string): MirumojiError =>
      new MirumojiError(
        "INPUT_CHANGED",
        `${localPath} changed while it was being sent: ${why}; submit the job when the file is written`,
      );
    return {
      sizeBytes,
      expectedBytes: sizeBytes,
      isRepeatable: true,
      changed,
      load: async (index, { memory }, thread) =>
        await translated(localPath, async () => {
          const length = Math.max(0, blockLength(sizeBytes, index));
          const loaded = await thread.load({ fd: handle.fd, position: index * BLOCK_BYTES, memory, length });
          if (loaded.readBytes < length) throw changed(`it ends before byte ${sizeBytes}`);
          return loaded;
        }),
      assertUnchanged: async () => {
        const now = await translated(localPath, async () => await handle.stat({ bigint: true }));
        if (now.size !== atOpening.size) throw changed(`it had ${atOpening.size} bytes and has ${now.size}`);
        if (now.mtimeNs !== atOpening.mtimeNs) throw changed("its modification time is a new one");
      },
      close: async () => await handle.close(),
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
    if (thrown instanceof MirumojiError) throw thrown;
    const { code, message } = thrown as NodeJS.ErrnoException;
    const meaning: ErrorCode =
      code === "ENOENT" || code === "ENOTDIR"
        ? "INPUT_NOT_FOUND"
        : code === "EISDIR"
          ? "INPUT_NOT_A_FILE"
          : "INPUT_UNREADABLE";
    throw new MirumojiError(meaning, `${localPath}: ${message}`, { cause: thrown });
  }
}
