import { BLOCK_BYTES } from "./blocks.ts";

/** Exchanges at once on a line about which nothing is known, or which is near. */
const LEAST = 8;
/** Speed that a line is believed to have until it has been measured: 2 Gbit/s. */
const FIRST_BYTES_PER_MS = 250_000;
/** Round trips of a block on a new connection, most of them while TCP finds its window. */
const COLD_ROUNDS = 12;
/** So many times the bandwidth-delay product are tried: where a line takes more, the next measurement says so. */
const GAIN = 2;
/** Growth of the shortest time of a block with each measurement, so that an old one does not count for ever. */
const AGEING = 1.1;

/** How many exchanges with the block store run at once: what the line can carry meanwhile. */
export interface Line {
  readonly places: () => number;
  /** A connection was made, which took one round trip or more. */
  connected(ms: number): void;
  /** A block was sent or fetched. */
  moved(bytes: number, ms: number): void;
}

/**
 * Follows the bandwidth-delay product. The delay is the shortest time of a whole block, which grows with the distance
 * because TCP waits for answers; the bandwidth is what all exchanges moved together. Before both are known, the time
 * of the first connection tells the distance.
 *
 * @param most - limit of exchanges at once
 */
export function createLine(most: number): Line {
  const bounded = (wanted: number): number => Math.max(Math.min(LEAST, most), Math.min(most, wanted));
  let places = bounded(LEAST);
  let shortestMs = Number.POSITIVE_INFINITY;
  let since = 0;
  let moved = { bytes: 0, blocks: 0 };
  return {
    places: () => places,
    connected(ms) {
      const inFlight = (FIRST_BYTES_PER_MS * COLD_ROUNDS * ms) / BLOCK_BYTES;
      if (shortestMs === Number.POSITIVE_INFINITY) places = bounded(Math.max(places, Math.ceil(inFlight)));
    },
    moved(bytes, ms) {
      // Small blocks say little about the line.
      if (bytes < BLOCK_BYTES / 2) return;
      const now = performance.now();
      if (moved.blocks === 0) since = now - ms;
      shortestMs = Math.min(shortestMs, ms);
      moved = { bytes: moved.bytes + bytes, blocks: moved.blocks + 1 };
      if (moved.blocks < places) return;
      const bytesPerMs = moved.bytes / Math.max(1, now - since);
      places = bounded(Math.ceil((GAIN * bytesPerMs * shortestMs) / BLOCK_BYTES));
      shortestMs *= AGEING;
      moved = { bytes: 0, blocks: 0 };
    },
  };
}
