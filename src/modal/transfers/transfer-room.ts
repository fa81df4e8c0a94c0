import { abortError, throwIfAborted } from "../rpc/abort.ts";
import { BLOCK_BYTES } from "./blocks.ts";
import { type BlockThread, blockThread } from "./block-worker.ts";

/** How many transfers of a process move at once, unless told otherwise. */
const DEFAULT_MAX_TRANSFERS = 8;
/** Blocks in flight in a process, whatever the number of transfers: at most 64 MiB of memory. */
const MAX_BLOCKS = 8;
/** Kept for the one that has no block yet, where there is more than one transfer: a slow one must not stop it. */
const KEPT_BLOCKS = 1;

/**
 * Memory stays for the next transfer for so long. Jobs that come one after the other would take new memory for each,
 * and a quarter of their processor time went into collecting the old.
 */
const KEPT_IDLE_MS = 5_000;

/** The right to one block in flight, to be given back. */
export interface Block {
  /** Memory for it, which is taken when it is first asked for: a download to a file needs none. */
  readonly memory: SharedArrayBuffer;
  /** The same memory. */
  readonly bytes: Uint8Array;
  giveBack(): void;
}

/** One transfer's place. */
export interface Seat {
  readonly thread: BlockThread;
  /** The most blocks that one transfer can have. */
  readonly mostBlocks: number;
  /** Waits for a free block. The next one always goes to the transfer that has the fewest. */
  take(signal: AbortSignal): Promise<Block>;
}

/** What the transfers of a process share: how many run at once, their memory, and the thread that hashes. */
export interface TransferRoom {
  /** Runs a transfer when there is a place for it, first come, first served. */
  enter<T>(signal: AbortSignal, transfer: (seat: Seat) => Promise<T>): Promise<T>;
}

/** Memory is taken when it is first needed, kept for the next block, and given back when nobody has transferred for a while. */
export function openTransferRoom({
  maxTransfers = DEFAULT_MAX_TRANSFERS,
  maxBlocks = MAX_BLOCKS,
}: { readonly maxTransfers?: number; readonly maxBlocks?: number } = {}): TransferRoom {
  const thread = blockThread();
  const doors: Line<undefined> = line();
  const forBlocks: Line<Held> = line();
  let inside = 0;
  let blocksOut = 0;
  let spare: SharedArrayBuffer[] = [];
  let idle: NodeJS.Timeout | undefined;

  const mayTake = (held: Held): boolean => {
    const kept = held.blocks === 0 || inside === 1 ? 0 : KEPT_BLOCKS;
    return maxBlocks - blocksOut > kept;
  };
  const serve = (): void => {
    for (;;) {
      const next = forBlocks.first((one, other) => one.blocks < other.blocks);
      if (next === undefined || !mayTake(next.who)) return;
      reserve(next.who);
      next.admit();
    }
  };
  const reserve = (held: Held): void => {
    blocksOut++;
    held.blocks++;
  };
  const handOut = (held: Held): Block => {
    let memory: SharedArrayBuffer | undefined;
    const take = (): SharedArrayBuffer => (memory ??= spare.pop() ?? new SharedArrayBuffer(BLOCK_BYTES));
    return {
      get memory() {
        return take();
      },
      get bytes() {
        return new Uint8Array(take());
      },
      giveBack() {
        if (memory !== undefined) spare.push(memory);
        blocksOut--;
        held.blocks--;
        serve();
      },
    };
  };
  return {
    async enter(signal, transfer) {
      throwIfAborted(signal);
      if (inside < maxTransfers) inside++;
      else await doors.wait(undefined, signal);
      clearTimeout(idle);
      const held: Held = { blocks: 0 };
      try {
        return await transfer({
          thread,
          mostBlocks: maxBlocks,
          take: async (stop) => {
            throwIfAborted(stop);
            const admitted = forBlocks.wait(held, stop);
            serve();
            await admitted;
            return handOut(held);
          },
        });
      } finally {
        const next = doors.first();
        if (next === undefined) inside--;
        else next.admit();
        serve();
        if (inside === 0) {
          idle = setTimeout(() => {
            spare = [];
          }, KEPT_IDLE_MS).unref();
        }
      }
    },
  };
}

interface Held {
  blocks: number;
}

/** People who wait, in the order of their coming; who gives up is not in it any more. */
interface Line<W> {
  /** Waits to be admitted. Who admits has taken the place already. */
  wait(who: W, signal: AbortSignal): Promise<void>;
  /** The first of those that nobody is before. */
  first(isBefore?: (one: W, other: W) => boolean): { readonly who: W; admit(): void } | undefined;
}

function line<W>(): Line<W> {
  const waiting = new Set<{ readonly who: W; admit(): void }>();
  return {
    wait: async (who, signal) =>
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
          who,
          admit() {
            leave();
            resolve();
          },
        };
        waiting.add(entry);
        signal.addEventListener("abort", giveUp, { once: true });
      }),
    first(isBefore = () => false) {
      let best: { readonly who: W; admit(): void } | undefined;
      for (const entry of waiting) if (best === undefined || isBefore(entry.who, best.who)) best = entry;
      return best;
    },
  };
}
