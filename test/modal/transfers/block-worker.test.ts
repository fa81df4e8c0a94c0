import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BLOCK_BYTES } from "../../../src/modal/transfers/blocks.ts";
import { blockThread, FileError } from "../../../src/modal/transfers/block-worker.ts";
import { startHttpStore } from "../../helpers/modal/http-store.ts";

const thread = blockThread();
const { signal } = new AbortController();
const memory = new SharedArrayBuffer(BLOCK_BYTES);
const sha256 = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mirumoji-threads-"));
});
afterAll(async () => await rm(folder, { recursive: true }));

test("what is stored of a block ends where its zeros begin, and its digest is of that", async () => {
  const runs = fc.array(fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 70_000 })), {
    maxLength: 6,
  });
  await fc.assert(
    fc.asyncProperty(runs, fc.integer({ min: 0, max: 140_000 }), async (pieces, zeros) => {
      const block = Buffer.concat([
        ...pieces.map(([byte, length]) => Buffer.alloc(length, byte)),
        Buffer.alloc(zeros),
      ]);
      new Uint8Array(memory).set(block);
      const { readBytes, storedBytes, digest } = await thread.digest({ memory, length: block.length });
      expect(readBytes).toBe(block.length);
      expect(storedBytes === 0 || block[storedBytes - 1] !== 0).toBe(true);
      expect(block.subarray(storedBytes).every((byte) => byte === 0)).toBe(true);
      expect(sha256(block.subarray(0, storedBytes)).equals(digest)).toBe(true);
    }),
    { numRuns: 60 },
  );
});

describe("a file", () => {
  test("is loaded from where the block is, as far as it goes", async () => {
    const content = randomBytes(1000);
    const path = join(folder, "in");
    await writeFile(path, content);
    const file = await open(path);
    try {
      const loaded = await thread.load({ fd: file.fd, position: 600, memory, length: 700 }, signal);
      expect(loaded.readBytes).toBe(400);
      expect(Buffer.from(loaded.digest).equals(sha256(content.subarray(600)))).toBe(true);
      expect(Buffer.from(memory, 0, 400).equals(content.subarray(600))).toBe(true);
    } finally {
      await file.close();
    }
  });

  test("that cannot be used gives the system's own error code", async () => {
    await expect(thread.load({ fd: 9999, position: 0, memory, length: 1 }, signal)).rejects.toMatchObject({
      code: "EBADF",
    });
    await using store = await startHttpStore((_, response) => response.end("bytes"));
    const into = { fd: 9999, position: 0, length: 5, url: store.url };
    const fetching = thread.fetch(into, new AbortController().signal);
    await expect(fetching).rejects.toBeInstanceOf(FileError);
    await expect(fetching).rejects.toMatchObject({ code: "EBADF" });
  });
});
