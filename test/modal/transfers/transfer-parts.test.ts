import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { MirumojiError } from "../../../src/job/errors.ts";
import { orAborted, sleep } from "../../../src/modal/rpc/abort.ts";
import { backoffMs } from "../../../src/modal/rpc/retry.ts";
import { BLOCK_BYTES } from "../../../src/modal/transfers/blocks.ts";
import { inLanes } from "../../../src/modal/transfers/lanes.ts";
import { createLine } from "../../../src/modal/transfers/line.ts";
import { transferMeter } from "../../../src/modal/transfers/transfer-meter.ts";
import type { TransferProgress } from "../../../src/ports/volumes.ts";

const cancelled = new MirumojiError("CANCELLED", "somebody asked");

describe("lanes", () => {
  test("every item is worked on once, never more at a time than there are lanes", async () => {
    let running = 0;
    let most = 0;
    const done: number[] = [];
    await inLanes(
      Array.from({ length: 20 }, (_, index) => index),
      4,
      new AbortController().signal,
      async (item) => {
        most = Math.max(most, ++running);
        await delay(1);
        running--;
        done.push(item);
      },
    );
    expect(done.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index));
    expect(most).toBe(4);
  });

  test("the first failure is thrown when all lanes are quiet, and no new item is begun", async () => {
    let running = 0;
    let begun = 0;
    const work = inLanes(
      [1, 2, 3, 4, 5, 6, 7, 8],
      3,
      new AbortController().signal,
      async (item, { signal }) => {
        begun++;
        running++;
        try {
          if (item === 2) throw new Error("broken");
          await delay(30, undefined, { signal });
        } finally {
          running--;
        }
      },
    );
    await expect(work).rejects.toThrow("broken");
    expect(running).toBe(0);
    expect(begun).toBe(3);
  });

  test("an abort from outside is thrown as its reason", async () => {
    const outside = new AbortController();
    const work = inLanes([1, 2, 3], 2, outside.signal, async (_, { signal }) => await sleep(10_000, signal));
    setTimeout(() => outside.abort(cancelled), 10);
    await expect(work).rejects.toBe(cancelled);
  });
});

describe("waiting", () => {
  test("ends with the abort's reason, and at once", async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(cancelled), 10);
    const startedAt = performance.now();
    await expect(sleep(10_000, controller.signal)).rejects.toBe(cancelled);
    await expect(orAborted(delay(10_000, undefined, { ref: false }), controller.signal)).rejects.toBe(
      cancelled,
    );
    expect(performance.now() - startedAt).toBeLessThan(1000);
  });

  test("between tries is a draw below a limit that doubles up to its cap", () => {
    const draws = (attempt: number): number[] =>
      Array.from({ length: 2000 }, () => backoffMs(attempt, 500, 10_000));
    for (const [attempt, limit] of [
      [1, 500],
      [3, 2_000],
      [20, 10_000],
    ] as const) {
      const seen = draws(attempt);
      expect(Math.max(...seen)).toBeLessThan(limit);
      expect(Math.max(...seen)).toBeGreaterThan(limit * 0.9);
      expect(Math.min(...seen)).toBeLessThan(limit * 0.1);
    }
  });
});

describe("the line to the store", () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ["performance"] }));
  afterEach(() => vi.useRealTimers());

  test("begins with more exchanges at once the farther the store is, within its limits", () => {
    const placesAt = (ms: number, most: number): number => {
      const line = createLine(most);
      line.connected(ms);
      return line.places();
    };
    expect([0, 40, 80, 180].map((ms) => placesAt(ms, 64))).toEqual([8, 15, 29, 64]);
    expect(placesAt(180, 4)).toBe(4);
  });

  test("follows twice the product of its speed and of the shortest time of a block", () => {
    const line = createLine(64);
    /** Blocks that take a second each, so many at once. */
    const round = (blocks: number): void => {
      vi.advanceTimersByTime(1000);
      for (let block = 0; block < blocks; block++) line.moved(BLOCK_BYTES, 1000);
    };
    round(8);
    expect(line.places()).toBe(16);
    round(16);
    expect(line.places()).toBeGreaterThan(30);
    // A line that is full: more at once only take longer.
    for (let rounds = 0; rounds < 3; rounds++) {
      vi.advanceTimersByTime(8000);
      for (let block = 0; block < 64; block++) line.moved(BLOCK_BYTES, 8000);
    }
    expect(line.places()).toBeLessThan(30);
    expect(line.places()).toBeGreaterThanOrEqual(8);
  });
});

describe("the progress of a transfer", () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ["performance"] }));
  afterEach(() => vi.useRealTimers());

  test("is reported at most every 100 ms, and once at the end", () => {
    const reports: TransferProgress[] = [];
    const meter = transferMeter(100, (progress) => reports.push(progress));
    for (let part = 0; part < 10; part++) {
      meter.add(10);
      vi.advanceTimersByTime(40);
    }
    meter.finish();
    expect(reports.map(({ doneBytes }) => doneBytes)).toEqual([10, 40, 70, 100]);
  });

  test("of an empty file is one report", () => {
    const reports: TransferProgress[] = [];
    transferMeter(0, (progress) => reports.push(progress)).finish();
    expect(reports).toEqual([{ doneBytes: 0, totalBytes: 0 }]);
  });
});
