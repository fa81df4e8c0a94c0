import type { Direction, WatchTransfer } from "../telemetry/metrics/transfers.ts";
import type { TransferProgress, Volumes } from "./ports.ts";

/** The same volumes; every transfer is told to `watch`, with its bytes as they move. */
export function watchedVolumes(volumes: Volumes, watch: WatchTransfer): Volumes {
  const transfer = async <R extends { sizeBytes: number; sentBytes?: number }>(
    direction: Direction,
    signal: AbortSignal,
    onProgress: ((progress: TransferProgress) => void) | undefined,
    run: (onProgress: (progress: TransferProgress) => void) => Promise<R>,
  ): Promise<R> => {
    const watched = watch(direction);
    let seenBytes = 0;
    const moveTo = (doneBytes: number) => {
      watched.moved(doneBytes - seenBytes);
      seenBytes = Math.max(seenBytes, doneBytes);
    };
    try {
      const result = await run((progress) => {
        moveTo(progress.doneBytes);
        onProgress?.(progress);
      });
      moveTo(result.sizeBytes);
      watched.end("done", result.sizeBytes - (result.sentBytes ?? result.sizeBytes));
      return result;
    } catch (error) {
      watched.end(signal.aborted ? "stopped" : "failed");
      throw error;
    }
  };
  return {
    ...volumes,
    putFile: async (options) =>
      await transfer("upload", options.signal, options.onProgress, async (onProgress) => {
        return await volumes.putFile({ ...options, onProgress });
      }),
    getFile: async (options) =>
      await transfer("download", options.signal, options.onProgress, async (onProgress) => {
        return await volumes.getFile({ ...options, onProgress });
      }),
  };
}
