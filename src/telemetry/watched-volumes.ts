import type { Direction, WatchTransfer } from "./metrics/transfers.ts";
import type { TransferProgress, Volumes } from "../ports/volumes.ts";

/** Wraps volumes so that every transfer is reported to all watchers, with its bytes as they move. */
export function watchedVolumes(volumes: Volumes, watchers: readonly WatchTransfer[]): Volumes {
  const transfer = async <R extends { sizeBytes: number; sentBytes?: number; fetchedBytes?: number }>(
    direction: Direction,
    signal: AbortSignal,
    onProgress: ((progress: TransferProgress) => void) | undefined,
    run: (onProgress: (progress: TransferProgress) => void) => Promise<R>,
    insteadOfBytes?: number,
  ): Promise<R> => {
    const watches = watchers.map((watch) => watch(direction));
    let seenBytes = 0;
    const moveTo = (doneBytes: number) => {
      for (const watched of watches) watched.moved(doneBytes - seenBytes);
      seenBytes = Math.max(seenBytes, doneBytes);
    };
    try {
      const result = await run((progress) => {
        moveTo(progress.doneBytes);
        onProgress?.(progress);
      });
      moveTo(result.sizeBytes);
      const { sizeBytes, fetchedBytes = sizeBytes, sentBytes = fetchedBytes } = result;
      for (const watched of watches) watched.end("done", (insteadOfBytes ?? sizeBytes) - sentBytes);
      return result;
    } catch (error) {
      for (const watched of watches) watched.end(signal.aborted ? "stopped" : "failed");
      throw error;
    }
  };
  return {
    ...volumes,
    putFile: async (options) =>
      await transfer("upload", options.signal, options.onProgress, async (onProgress) => {
        return await volumes.putFile({ ...options, onProgress });
      }),
    putStream: async (options) => {
      const send = async (onProgress: (progress: TransferProgress) => void) =>
        await volumes.putStream({ ...options, onProgress });
      return await transfer("upload", options.signal, options.onProgress, send, options.insteadOfBytes);
    },
    readFile: async (options) => {
      const read = async (onProgress: (progress: TransferProgress) => void) => {
        const bytes = await volumes.readFile({ ...options, onProgress });
        return { sizeBytes: bytes.length, bytes };
      };
      return (await transfer("download", options.signal, options.onProgress, read)).bytes;
    },
    getFile: async (options) =>
      await transfer("download", options.signal, options.onProgress, async (onProgress) => {
        return await volumes.getFile({ ...options, onProgress });
      }),
  };
}
