import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  BLOCK_BYTES,
  blockCount,
  blockLength,
  sha256,
  withoutTrailingZeros,
} from "../../src/modal/blocks.ts";

/** Splits as the upload does and puts together as the download does. */
function roundTrip(bytes: Uint8Array): Buffer {
  const whole = Buffer.alloc(bytes.length);
  for (let index = 0; index < blockCount(bytes.length); index++) {
    const start = index * BLOCK_BYTES;
    const block = bytes.subarray(start, start + blockLength(bytes.length, index));
    whole.set(withoutTrailingZeros(block), start);
  }
  return whole;
}

describe("blocks", () => {
  test("without its trailing zeros a block never ends in zero and loses nothing else", () => {
    const runs = fc.array(fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 70_000 })), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(runs, fc.integer({ min: 0, max: 70_000 }), (pieces, zeros) => {
        const block = Buffer.concat([
          ...pieces.map(([byte, length]) => Buffer.alloc(length, byte)),
          Buffer.alloc(zeros),
        ]);
        const kept = withoutTrailingZeros(block);
        expect(kept.at(-1)).not.toBe(0);
        expect(Buffer.compare(Buffer.concat([kept, Buffer.alloc(block.length - kept.length)]), block)).toBe(
          0,
        );
      }),
      { numRuns: 200 },
    );
  });

  test("the stripped blocks of a file, padded again, are the file", () => {
    const size = fc.oneof(
      fc.integer({ min: 0, max: 1000 }),
      fc.constantFrom(BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES, 2 * BLOCK_BYTES + 5),
    );
    const marks = fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { maxLength: 5 });
    fc.assert(
      fc.property(size, marks, (sizeBytes, places) => {
        const bytes = Buffer.alloc(sizeBytes);
        for (const place of places)
          if (sizeBytes > 0) bytes[Math.floor(place * sizeBytes)] = 1 + (sizeBytes % 255);
        expect(Buffer.compare(roundTrip(bytes), bytes)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test("the lengths of all blocks make the size, and none is empty", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 40 * 1024 ** 3 }), (sizeBytes) => {
        const count = blockCount(sizeBytes);
        const last = count === 0 ? 0 : blockLength(sizeBytes, count - 1);
        expect(Math.max(0, count - 1) * BLOCK_BYTES + last).toBe(sizeBytes);
        if (count > 0) expect(last).toBeGreaterThan(0);
      }),
    );
  });

  test("the digest is SHA-256 of exactly the given view", async () => {
    const bytes = Buffer.from("xxhello worldxx").subarray(2, 13);
    const expected = createHash("sha256").update("hello world").digest();
    expect(Buffer.compare(await sha256(bytes), expected)).toBe(0);
  });
});
