import { throwIfAborted } from "../rpc/abort.ts";
import { type BlockThreads, blockThreads } from "./block-worker.ts";
import { BLOCK_BYTES } from "./blocks.ts";
import { fairShare, type WaitList, waitList } from "./fair-share.ts";
import { createLine } from "./line.ts";

/** How many transfers of a process move at once, unless told otherwise. */
const DEFAULT_MAX_TRANSFERS = 8;
/** Most blocks in memory in a process, over all transfers: 64 MiB. */
const MAX_BLOCKS = 8;
/** Connections for each of these blocks: one needs a small buffer, an eighth of a block with all around it. */
const PLACES_PER_BLOCK = 8;

/**
 * How long memory is kept for the next transfer. Allocating it anew for each job costs a quarter of its CPU time in
 * garbage collection.
 */
const KEPT_IDLE_MS = 5_000;

/** Permit for one block in memory; released after use. */
export interface Block {
  /** Memory of the block, allocated on first use. */
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
  /** The most blocks in memory that one transfer can have. */
  readonly maxBlocks: number;
  /** The most exchanges with the store at once. */
  readonly maxPlaces: number;
  /** Waits for a free block. The next one always goes to the transfer that has the fewest. */
  take(signal: AbortSignal): Promise<Block>;
  /** Moves a block over the line, as soon as there is room on it; the same order. */
  move<T>(bytes: number, signal: AbortSignal, exchange: () => Promise<T>): Promise<T>;
}

/** Limits the transfers of a process, which share their memory, the line and the threads. */
export interface TransferLimiter {
  /** Runs a transfer as soon as a slot is free, in the order of the calls. */
  run<T>(signal: AbortSignal, transfer: (slot: TransferSlot) => Promise<T>): Promise<T>;
}

/** Memory is taken when it is first needed, kept for the next block, and freed when no transfer has run for a while. */
export function createTransferLimiter({
  maxTransfers = DEFAULT_MAX_TRANSFERS,
  maxBlocks = MAX_BLOCKS,
}: { readonly maxTransfers?: number; readonly maxBlocks?: number } = {}): TransferLimiter {
  const maxPlaces = maxBlocks * PLACES_PER_BLOCK;
  const line = createLine(maxPlaces);
  const blocks = fairShare(() => maxBlocks);
  const places = fairShare(line.places);
  const threads = blockThreads((ms) => {
    line.connected(ms);
    places.serve();
  });
  const forSlots: WaitList<undefined> = waitList();
  let running = 0;
  let spare: SharedArrayBuffer[] = [];
  let idle: NodeJS.Timeout | undefined;

  const grant = (free: () => void): Block => {
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
        free();
      },
    };
  };
  return {
    async run(signal, transfer) {
      throwIfAborted(signal);
      if (running < maxTransfers) running++;
      else await forSlots.wait(undefined, signal);
      clearTimeout(idle);
      const own = { blocks: blocks.open(), places: places.open() };
      try {
        return await transfer({
          threads,
          maxBlocks,
          maxPlaces,
          take: async (stop) => grant(await own.blocks.take(stop)),
          move: async (bytes, stop, exchange) => {
            const free = await own.places.take(stop);
            const began = performance.now();
            try {
              const answer = await exchange();
              line.moved(bytes, performance.now() - began);
              return answer;
            } finally {
              free();
            }
          },
        });
      } finally {
        own.blocks.close();
        own.places.close();
        const next = forSlots.first();
        if (next === undefined) running--;
        else next.admit();
        if (running === 0) {
          idle = setTimeout(() => {
            spare = [];
          }, KEPT_IDLE_MS).unref();
        }
      }
    },
  };
}
