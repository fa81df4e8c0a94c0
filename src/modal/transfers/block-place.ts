import { FinalError } from "./block-store.ts";
import { FileError, type LoadedBytes, type StoreAnswer } from "./block-worker.ts";
import type { TransferSlot } from "./transfer-limiter.ts";
import type { UploadSource } from "./upload-source.ts";
import type { NamedBlock } from "./volume-file.ts";

/** Where a block is until it has been sent: in the memory of a slot, or in its file. */
export interface BlockPlace {
  /** Loads the block, or only hashes it in its file, and notes its digest. */
  load(signal: AbortSignal): Promise<LoadedBytes>;
  /** Sends it once. */
  put(url: string, length: number, signal: AbortSignal): Promise<StoreAnswer>;
  leave(): void;
}

/** The place of block `index`; waits for memory where the source is not a file. */
export async function placeOf(
  upload: { readonly source: UploadSource; readonly slot: TransferSlot; readonly blocks: NamedBlock[] },
  index: number,
  signal: AbortSignal,
): Promise<BlockPlace> {
  const { source, slot, blocks } = upload;
  const { threads } = slot;
  const noted = (loaded: LoadedBytes): LoadedBytes => {
    if (loaded.readBytes > 0) blocks[index] = { contentsSha256: loaded.digest };
    return loaded;
  };
  const { inFile } = source;
  if (inFile !== undefined) {
    return {
      load: async (stop) => noted(await inFile.hash(index, threads, stop)),
      put: async (url, length, stop) => {
        const task = { url, headers: headersFor(length), length, ...inFile.part(index) };
        try {
          const answer = await threads.of(inFile.device).put(task, stop);
          // A store refuses bytes that are not those of the digest.
          if (answer.status >= 400) await unchanged(source);
          return answer;
        } catch (error) {
          if (!(error instanceof FileError)) throw error;
          await unchanged(source);
          throw new FinalError(inFile.failed(error));
        }
      },
      leave: () => {},
    };
  }
  const block = await slot.take(signal);
  return {
    load: async (stop) => noted(await source.load(index, block, threads, stop)),
    put: async (url, length, stop) =>
      await threads.of(null).put({ url, headers: headersFor(length), length, memory: block.memory }, stop),
    leave: () => block.giveBack(),
  };
}

/** @throws FinalError when the file is not the one that was hashed */
async function unchanged(source: UploadSource): Promise<void> {
  await source.assertUnchanged().catch((error: unknown) => {
    throw new FinalError(error);
  });
}

function headersFor(length: number): Readonly<Record<string, string>> {
  return { "content-length": String(length) };
}
