import type { Instruments } from "./instruments.ts";

export type Direction = "upload" | "download";
export type TransferEnd = "done" | "failed" | "stopped";

/** One file transfer to or from a volume. */
export interface TransferWatch {
  moved(bytes: number): void;
  end(outcome: TransferEnd, savedBytes?: number): void;
}

/** Called at the start of every transfer. */
export type WatchTransfer = (direction: Direction) => TransferWatch;

/** Counts bytes while a transfer runs, so that a long one shows before it ends. */
export function transferWatch(instruments: Instruments, now: () => number): WatchTransfer {
  return (direction) => {
    const startedAt = now();
    instruments.transfersInFlight.inc({ direction });
    return {
      moved: (bytes) => instruments.transferBytes.inc({ direction }, Math.max(0, bytes)),
      end: (outcome, savedBytes = 0) => {
        instruments.transfersInFlight.dec({ direction });
        instruments.transferSeconds.observe({ direction, outcome }, (now() - startedAt) / 1000);
        instruments.transferSaved.inc(Math.max(0, savedBytes));
      },
    };
  };
}
