import type { StepProgress } from "../job/summary.ts";
import type { TransferProgress } from "../ports/volumes.ts";

/** Turns byte counts into progress with the rate since the start and the time left. */
export function transferReporter(
  report: (progress: StepProgress) => void,
  now: () => number,
): (progress: TransferProgress) => void {
  const startedAt = now();
  return ({ doneBytes, totalBytes }) => {
    const seconds = (now() - startedAt) / 1000;
    const bytesPerSecond = seconds > 0 ? Math.round(doneBytes / seconds) : 0;
    report({
      doneBytes,
      totalBytes,
      bytesPerSecond,
      fraction: totalBytes > 0 ? Math.min(1, doneBytes / totalBytes) : 1,
      ...(bytesPerSecond > 0 ? { etaSeconds: Math.ceil((totalBytes - doneBytes) / bytesPerSecond) } : {}),
    });
  };
}
