import { abortError, throwIfAborted } from "../rpc/abort.ts";

/** Places reserved for transfers that have none yet, so that a slow transfer cannot block the others. */
const KEPT = 1;

/** Places that several transfers share. */
export interface FairShare {
  /** The part of one transfer. */
  open(): {
    /** Waits for a place; the next one always goes to the transfer that has the fewest. Gives what frees it again. */
    take(signal: AbortSignal): Promise<() => void>;
    /** To be called when the transfer is over. */
    close(): void;
  };
  /** Lets in who fits, after the number of places has changed. */
  serve(): void;
}

/** @param places - tells how many there are now */
export function fairShare(places: () => number): FairShare {
  const waiting: WaitList<Held> = waitList();
  let open = 0;
  let taken = 0;
  const mayTake = (held: Held): boolean => places() - taken > (held.count === 0 || open === 1 ? 0 : KEPT);
  const serve = (): void => {
    for (;;) {
      const next = waiting.first((one, other) => one.count < other.count);
      if (next === undefined || !mayTake(next.item)) return;
      taken++;
      next.item.count++;
      next.admit();
    }
  };
  return {
    serve,
    open: () => {
      const held: Held = { count: 0 };
      open++;
      return {
        take: async (signal) => {
          throwIfAborted(signal);
          const admitted = waiting.wait(held, signal);
          serve();
          await admitted;
          return () => {
            taken--;
            held.count--;
            serve();
          };
        },
        close: () => {
          open--;
          serve();
        },
      };
    },
  };
}

interface Held {
  count: number;
}

/** First-in, first-out queue of requests; an aborted request leaves it. */
export interface WaitList<W> {
  /** Waits to be admitted. The caller of `admit` has already counted the place. */
  wait(item: W, signal: AbortSignal): Promise<void>;
  /** The first entry that no other one comes before. */
  first(isBefore?: (one: W, other: W) => boolean): { readonly item: W; admit(): void } | undefined;
}

export function waitList<W>(): WaitList<W> {
  const waiting = new Set<{ readonly item: W; admit(): void }>();
  return {
    wait: async (item, signal) =>
      await new Promise((resolve, reject) => {
        const leave = (): void => {
          waiting.delete(entry);
          signal.removeEventListener("abort", giveUp);
        };
        const giveUp = (): void => {
          leave();
          reject(abortError(signal));
        };
        const entry = {
          item,
          admit() {
            leave();
            resolve();
          },
        };
        waiting.add(entry);
        signal.addEventListener("abort", giveUp, { once: true });
      }),
    first(isBefore = () => false) {
      let best: { readonly item: W; admit(): void } | undefined;
      for (const entry of waiting) if (best === undefined || isBefore(entry.item, best.item)) best = entry;
      return best;
    },
  };
}
