import type { TransferProgress } from "../../ports/volumes.ts";

const REPORT_EVERY_MS = 100;

/** Counts the bytes of one transfer. */
export interface TransferMeter {
  /** Bytes have moved: reported at most every 100 ms. */
  add(bytes: number): void;
  /** All of them have: reported always. */
  finish(totalBytes?: number): void;
}

/** @param expected - estimate of the total bytes; may change until `finish` gives the exact number */
export function transferMeter(
  expected: number | (() => number),
  onProgress: ((progress: TransferProgress) => void) | undefined,
): TransferMeter {
  const expectedBytes = (): number => (typeof expected === "number" ? expected : expected());
  let doneBytes = 0;
  let reportedAt = Number.NEGATIVE_INFINITY;
  return {
    add(bytes) {
      doneBytes += bytes;
      const now = performance.now();
      const totalBytes = expectedBytes();
      if (doneBytes >= totalBytes || now - reportedAt < REPORT_EVERY_MS) return;
      reportedAt = now;
      onProgress?.({ doneBytes, totalBytes });
    },
    finish(totalBytes = expectedBytes()) {
      onProgress?.({ doneBytes: totalBytes, totalBytes });
    },
  };
}
