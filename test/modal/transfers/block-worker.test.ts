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

  test("is hashed and sent out of its place, without any header of ours, over redirections too", async () => {
    const content = Buffer.concat([
      randomBytes(700_000),
      Buffer.alloc(200_000),
      randomBytes(9),
      Buffer.alloc(70_000),
    ]);
    const stored = content.subarray(10, 900_009);
    await using store = await startHttpStore(({ path }, response) => {
      if (path === "/old") response.writeHead(307, { location: "/new" }).end();
      else response.end("proof");
    });
    const path = join(folder, "sent");
    await writeFile(path, content);
    const file = await open(path);
    try {
      const part = { fd: file.fd, position: 10, length: content.length - 10 };
      const hashed = await thread.hash(part, signal);
      expect(hashed).toMatchObject({ readBytes: part.length, storedBytes: stored.length });
      expect(Buffer.from(hashed.digest).equals(sha256(stored))).toBe(true);
      const headers = { "content-length": String(stored.length) };
      const task = { ...part, length: stored.length, url: `${store.url}/old`, headers };
      const answer = await thread.put(task, signal);
      expect(answer.status).toBe(200);
      expect(Buffer.from(answer.body).toString()).toBe("proof");
      expect(store.requests.map(({ body }) => body.equals(stored))).toEqual([true, true]);
      for (const { headers: got } of store.requests)
        expect(Object.keys(got).toSorted()).toEqual(["connection", "content-length", "host"]);
    } finally {
      await file.close();
    }
  });
});
