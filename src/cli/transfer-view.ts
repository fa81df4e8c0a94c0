import { SingleBar } from "cli-progress";
import { note } from "./output.ts";
import { detailOf } from "./progress-view.ts";

/** Shows transfers: one bar with bytes, rate and time left on a terminal, one line per file elsewhere. */
export interface TransferView {
  /** Bytes of one file so far; called as often as the transfer likes. */
  update(path: string, doneBytes: number): void;
  finished(path: string): void;
  stop(): void;
}

/** Window over which rates are averaged. */
const RATE_WINDOW_MS = 5_000;

export function createTransferView(
  totalBytes: number,
  { stream = process.stderr, now = Date.now }: { stream?: NodeJS.WriteStream; now?: () => number } = {},
): TransferView {
  const bytesOf = new Map<string, number>();
  const startedAt = now();
  const rate = slidingRate(now);
  let doneBytes = 0;
  const bar = stream.isTTY ? startBar(totalBytes, stream) : null;
  const detail = (): string => {
    const bytesPerSecond = rate(doneBytes);
    const etaSeconds = bytesPerSecond > 0 ? Math.ceil((totalBytes - doneBytes) / bytesPerSecond) : undefined;
    const step = {
      doneBytes,
      totalBytes,
      bytesPerSecond,
      ...(etaSeconds === undefined ? {} : { etaSeconds }),
    };
    return detailOf(step, now() - startedAt);
  };
  return {
    update(path, bytes) {
      doneBytes += bytes - (bytesOf.get(path) ?? 0);
      bytesOf.set(path, bytes);
      bar?.update(doneBytes, { path: shortened(path), detail: detail() });
    },
    finished(path) {
      if (bar === null) note(`${path}: ${detail()}`);
    },
    stop() {
      bar?.update(doneBytes, { detail: detail() });
      bar?.stop();
    },
  };
}

/** Bytes per second over the last few seconds. */
export function slidingRate(now: () => number): (doneBytes: number) => number {
  const seen: { at: number; bytes: number }[] = [{ at: now(), bytes: 0 }];
  return (bytes) => {
    const at = now();
    seen.push({ at, bytes });
    while (seen.length > 2 && (seen[1]?.at ?? at) < at - RATE_WINDOW_MS) seen.shift();
    const [first = { at, bytes }] = seen;
    return at === first.at ? 0 : Math.round(((bytes - first.bytes) * 1000) / (at - first.at));
  };
}

function startBar(totalBytes: number, stream: NodeJS.WriteStream): SingleBar {
  const bar = new SingleBar({
    format: "{path} {bar} {percentage}%  {detail}",
    stream,
    hideCursor: true,
    barsize: 24,
    barCompleteChar: "█",
    barIncompleteChar: "░",
    // Empty files count as done.
    forceRedraw: true,
  });
  bar.start(Math.max(1, totalBytes), 0, { path: "", detail: "" });
  return bar;
}

const PATH_CHARS = 32;

function shortened(path: string): string {
  const chars = Array.from(path);
  const text = chars.length <= PATH_CHARS ? path : `…${chars.slice(1 - PATH_CHARS).join("")}`;
  return text.padEnd(PATH_CHARS);
}
