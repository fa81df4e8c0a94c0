import { readFileSync } from "node:fs";

/** Longest that one turn of the event loop may compute. */
const LIMIT_MS = 100;
/** Linux counts a thread's time in hundredths of a second. */
const TICK_MS = 10;

/**
 * Watches the event loop of the calling thread. The returned function ends that, and gives the turns that computed for
 * too long, in milliseconds. The thread's own processor time is what counts, so that neither a busy machine nor the work
 * of other threads is taken for a stall.
 */
export function watchStalls(): () => number[] {
  const stalls: number[] = [];
  let isOver = false;
  let before = computedMs();
  const turn = (): void => {
    const now = computedMs();
    if (now - before > LIMIT_MS) stalls.push(now - before);
    before = now;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  return () => {
    isOver = true;
    return stalls;
  };
}

/** Processor time of this thread in user mode; 0 where the system does not tell. */
function computedMs(): number {
  try {
    // The name before it may hold anything.
    const [, fields = ""] = /.*\) (.*)/.exec(readFileSync("/proc/thread-self/stat", "utf8")) ?? [];
    return Number(fields.split(" ")[11]) * TICK_MS;
  } catch {
    return 0;
  }
}
