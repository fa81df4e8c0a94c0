import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BLOCK_BYTES, blockCount, blockLength, sha256 } from "../../../src/modal/transfers/blocks.ts";

describe("blocks", () => {
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
