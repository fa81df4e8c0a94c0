import { setMaxListeners } from "node:events";
import { toMirumojiError } from "../job/errors.ts";
import type { HeldKey } from "../queue/held-key.ts";
import type { TellUnreadable } from "../queue/unreadable.ts";
import type { Apps } from "../ports/apps.ts";
import { keepAlive, type Needed, readNeeded } from "./keeper.ts";
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
  readonly onUnreadable: TellUnreadable;
  readonly onError: (error: unknown, what: string) => void;
}

/**
 * Upkeep that one worker of the pool does for all: it keeps alive what live jobs need, removes leftovers, and counts
 * jobs that ended without a worker. When the leader dies, another worker takes over within its term.
 */
export function startCaretaker(options: CaretakerOptions): { stop: () => Promise<void> } {
  const stopping = new AbortController();
  const { signal } = stopping;
  // Each heartbeat under way listens to it.
  setMaxListeners(0, signal);
  const roundMs = Math.min(ROUND_MS, options.heartbeatMs);
  // On the steady clock: one that is set back must not stop heartbeats.
  let volumesBeatenAt = Number.NEGATIVE_INFINITY;
  let prunedAt = performance.now();
  let suspects: ReadonlySet<string> = new Set();
  let current: Promise<void> | null = null;
  /** Needs of live jobs when this worker led last; null where another one has led since. */
  let needed: Needed | null = null;
  let beating: Promise<void> | null = null;
  let reaping: Promise<void> | null = null;
  const reapBeside = async (due: readonly Leftover[]): Promise<void> => {
    for (const leftover of await reap({ ...options, signal }, due)) options.onReaped(leftover);
  };
  const onError = (error: unknown) => {
    if (!signal.aborted) options.onError(error, "caretaker");
  };
  const beat = async (what: Needed) => {
    const withVolumes = performance.now() - volumesBeatenAt >= options.heartbeatMs;
    if (withVolumes) volumesBeatenAt = performance.now();
    await keepAlive(what, { ...options, signal, withVolumes });
  };
  /** Whether this worker leads. A Redis that takes no writes has no leader, and each worker is one for its heartbeats. */
  const leads = async (): Promise<boolean> => {
    try {
      return await options.leadership.hold(TERM_ROUNDS * roundMs);
    } catch (error) {
      if (toMirumojiError(error).kind === "storage") {
        await beat(await readNeeded(options.ledger, options.onUnreadable));
      }
      throw error;
    }
  };
  const round = async () => {
    if (options.isAtFault()) {
      needed = null;
      return await options.leadership.release();
    }
    if (signal.aborted) return;
    if (!(await leads())) {
      needed = null;
      return;
    }
    // Heartbeats come first, and nothing else is waited for between them: what dies for want of one is paid again.
    needed = await readNeeded(options.ledger, options.onUnreadable);
    await beat(needed);
    await options.tellEnded();
    const leftovers = await findLeftovers(options.ledger, options.onError);
    // Seen twice: a job that just ended clears its own books in a moment.
    const due = leftovers.filter(({ volume }) => suspects.has(volume.volumeId));
    suspects = new Set(leftovers.map(({ volume }) => volume.volumeId));
    reaping ??= reapBeside(due)
      .catch(onError)
      .finally(() => {
        reaping = null;
      });
    if (performance.now() - prunedAt >= PRUNE_MS) {
      prunedAt = performance.now();
      await options.prune();
    }
  };
  const next = () => {
    // Redis is silent: what it said last is kept alive.
    if (current !== null && needed !== null) {
      beating ??= beat(needed)
        .catch(onError)
        .finally(() => {
          beating = null;
        });
    }
    // A slow round (Redis was away) is neither overtaken nor followed by all the rounds that it held up.
    current ??= round()
      .catch(onError)
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
      await beating;
      await reaping;
      await options.leadership.release();
    },
  };
}
