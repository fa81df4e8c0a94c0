import { abortError, throwIfAborted } from "../rpc/abort.ts";
import { BLOCK_BYTES } from "./blocks.ts";
import { type BlockThreads, blockThreads } from "./block-worker.ts";

/** How many transfers of a process move at once, unless told otherwise. */
const DEFAULT_MAX_TRANSFERS = 8;
/** Most blocks in flight in a process, over all transfers: 64 MiB of memory. */
const MAX_BLOCKS = 8;
/** Blocks reserved for transfers that have none yet, so that a slow transfer cannot block the others. */
const KEPT_BLOCKS = 1;

/**
 * How long memory is kept for the next transfer. Allocating it anew for each job costs a quarter of its CPU time in
 * garbage collection.
 */
const KEPT_IDLE_MS = 5_000;

/** Permit for one block in flight; released after use. */
export interface Block {
  /** Memory of the block, allocated on first use: a download to a file needs none. */
  readonly memory: SharedArrayBuffer;
  /** The same memory. */
  readonly bytes: Uint8Array;
  /** Leaves the memory to whatever may still write into it; to be called before it is given back. */
  forgetMemory(): void;
  giveBack(): void;
}

/** The place of one transfer. */
export interface TransferSlot {
  readonly threads: BlockThreads;
  /** The most blocks that one transfer can have. */
  readonly maxBlocks: number;
  /** Waits for a free block. The next one always goes to the transfer that has the fewest. */
  take(signal: AbortSignal): Promise<Block>;
}

/** Limits the transfers of a process, which share their memory and the threads that hash. */
export interface TransferLimiter {
  /** Runs a transfer as soon as a slot is free, in the order of the calls. */
  run<T>(signal: AbortSignal, transfer: (slot: TransferSlot) => Promise<T>): Promise<T>;
}

/** Memory is taken when it is first needed, kept for the next block, and freed when no transfer has run for a while. */
export function createTransferLimiter({
  maxTransfers = DEFAULT_MAX_TRANSFERS,
  maxBlocks = MAX_BLOCKS,
}: { readonly maxTransfers?: number; readonly maxBlocks?: number } = {}): TransferLimiter {
  const threads = blockThreads();
  const forSlots: WaitList<undefined> = waitList();
  const forBlocks: WaitList<Held> = waitList();
  let running = 0;
  let blocksOut = 0;
  let spare: SharedArrayBuffer[] = [];
  let idle: NodeJS.Timeout | undefined;

  const mayTake = (held: Held): boolean => {
    const kept = held.blocks === 0 || running === 1 ? 0 : KEPT_BLOCKS;
    return maxBlocks - blocksOut > kept;
  };
  const serve = (): void => {
    for (;;) {
      const next = forBlocks.first((one, other) => one.blocks < other.blocks);
      if (next === undefined || !mayTake(next.item)) return;
      reserve(next.item);
      next.admit();
    }
  };
  const reserve = (held: Held): void => {
    blocksOut++;
    held.blocks++;
  };
  const grant = (held: Held): Block => {
    let memory: SharedArrayBuffer | undefined;
    const take = (): SharedArrayBuffer => (memory ??= spare.pop() ?? new SharedArrayBuffer(BLOCK_BYTES));
    return {
      get memory() {
        return take();
      },
      get bytes() {
        return new Uint8Array(take());
      },
      forgetMemory() {
        memory = undefined;
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
    async run(signal, transfer) {
      throwIfAborted(signal);
      if (running < maxTransfers) running++;
      else await forSlots.wait(undefined, signal);
      clearTimeout(idle);
      const held: Held = { blocks: 0 };
      try {
        return await transfer({
          threads,
          maxBlocks: maxBlocks,
          take: async (stop) => {
            throwIfAborted(stop);
            const admitted = forBlocks.wait(held, stop);
            serve();
            await admitted;
            return grant(held);
          },
        });
      } finally {
        const next = forSlots.first();
        if (next === undefined) running--;
        else next.admit();
        serve();
        if (running === 0) {
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

/** First-in, first-out queue of requests; an aborted request leaves it. */
interface WaitList<W> {
  /** Waits to be admitted. The caller of `admit` has already counted the place. */
  wait(item: W, signal: AbortSignal): Promise<void>;
  /** The first entry that no other one comes before. */
  first(isBefore?: (one: W, other: W) => boolean): { readonly item: W; admit(): void } | undefined;
}

function waitList<W>(): WaitList<W> {
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
