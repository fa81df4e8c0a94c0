import type { TransferProgress } from "../steps/ports.ts";

const REPORT_EVERY_MS = 100;

/** Counts the bytes of one transfer and reports them: at most every 100 ms, and once at the end. */
export function transferMeter(
  totalBytes: number,
  onProgress: ((progress: TransferProgress) => void) | undefined,
): { add(bytes: number): void; finish(): void } {
  let doneBytes = 0;
  let reportedAt = Number.NEGATIVE_INFINITY;
  return {
    add(bytes) {
      doneBytes += bytes;
      const now = performance.now();
      if (doneBytes >= totalBytes || now - reportedAt < REPORT_EVERY_MS) return;
      reportedAt = now;
      onProgress?.({ doneBytes, totalBytes });
    },
    finish() {
      onProgress?.({ doneBytes: totalBytes, totalBytes });
    },
  };
}
