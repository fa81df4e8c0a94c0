import type { HeldKey } from "../queue/held-key.ts";
import type { Apps } from "../ports/apps.ts";
import { keepAlive } from "./keeper.ts";
import { findLeftovers, type Leftover, reap, type ReaperTools } from "./reaper.ts";

/** Apps are beaten this often by Modal's own clients; the grace of a missed beat is not documented. */
const ROUND_MS = 15_000;
/** Entries of the index that lead nowhere cost about 100 bytes each. */
const PRUNE_MS = 3_600_000;
/** A leader that missed this many rounds is replaced. */
const TERM_ROUNDS = 2;

export interface CaretakerOptions extends Omit<ReaperTools, "signal"> {
  readonly leadership: HeldKey;
  readonly apps: Apps;
  /** How often volumes are kept alive. */
  readonly heartbeatMs: number;
  readonly now: () => number;
  /** Whether this worker cannot work with Modal, while others may be able to: then one of them has to lead. */
  readonly isAtFault: () => boolean;
  readonly onReaped: (leftover: Leftover) => void;
  /** Counts the jobs that ended without a worker; one process of the pool must. */
  readonly tellEnded: () => Promise<void>;
  /** Removes records whose time is over. */
  readonly prune: () => Promise<void>;
  readonly onError: (error: unknown, what: string) => void;
}

/**
 * Upkeep that one worker of the pool does for all: it keeps alive what live jobs need, removes leftovers, and counts
 * jobs that ended without a worker. When the leader dies, another worker takes over within its term.
 */
export function startCaretaker(options: CaretakerOptions): { stop: () => Promise<void> } {
  const stopping = new AbortController();
  const { signal } = stopping;
  const roundMs = Math.min(ROUND_MS, options.heartbeatMs);
  let volumesBeatenAt = 0;
  let prunedAt = options.now();
  let suspects: ReadonlySet<string> = new Set();
  let current: Promise<void> | null = null;
  const round = async () => {
    if (options.isAtFault()) return await options.leadership.release();
    if (signal.aborted || !(await options.leadership.hold(TERM_ROUNDS * roundMs))) return;
    await options.tellEnded();
    const isVolumeBeat = options.now() - volumesBeatenAt >= options.heartbeatMs;
    if (isVolumeBeat) volumesBeatenAt = options.now();
    const leftovers = await findLeftovers(options.ledger);
    // Seen twice: a job that just ended clears its own books in a moment.
    const due = leftovers.filter(({ volume }) => suspects.has(volume.volumeId));
    suspects = new Set(leftovers.map(({ volume }) => volume.volumeId));
    for (const leftover of await reap({ ...options, signal }, due)) options.onReaped(leftover);
    await keepAlive({ ...options, signal, withVolumes: isVolumeBeat });
    if (options.now() - prunedAt >= PRUNE_MS) {
      prunedAt = options.now();
      await options.prune();
    }
  };
  const next = () => {
    // A slow round (Redis was away) is neither overtaken nor followed by all the rounds that it held up.
    current ??= round()
      .catch((error: unknown) => {
        if (!signal.aborted) options.onError(error, "caretaker");
      })
      .finally(() => {
        current = null;
      });
  };
  // A pool that was down for a while has volumes that cannot wait for the first round.
  next();
  const timer = setInterval(next, roundMs);
  return {
    async stop() {
      clearInterval(timer);
      stopping.abort();
      await current;
      await options.leadership.release();
    },
  };
}
