import { constants } from "node:fs";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { BLOCK_BYTES } from "../../../src/modal/transfers/blocks.ts";
import { openResumableFile } from "../../../src/modal/transfers/resumable-file.ts";

const SIZE = 2 * BLOCK_BYTES + 5;
const [ONE, OTHER] = ["1".repeat(64), "2".repeat(64)] as const;

test("what arrived counts for the same content and size only, and leaves nothing in the finished file", async () => {
  const folder = await mkdtemp(join(tmpdir(), "mirumoji-resumable-"));
  const into = await open(join(folder, "out"), constants.O_RDWR | constants.O_CREAT);
  try {
    const thereOf = async (sizeBytes: number, identity: string | undefined) => {
      const file = await openResumableFile(into, sizeBytes, identity);
      return [0, 1, 2].filter((index) => file.has(index));
    };
    const begin = async () => {
      const file = await openResumableFile(into, SIZE, ONE);
      await file.arrived(1);
      return file;
    };
    await begin();
    expect(await thereOf(SIZE, ONE)).toEqual([1]);
    expect(await thereOf(SIZE, OTHER)).toEqual([]);
    await begin();
    expect(await thereOf(SIZE + 1, ONE)).toEqual([]);
    await begin();
    expect(await thereOf(SIZE, undefined)).toEqual([]);
    await (await begin()).finish();
    expect((await into.stat()).size).toBe(SIZE);
    expect(await thereOf(SIZE, ONE)).toEqual([]);
  } finally {
    await into.close();
    await rm(folder, { recursive: true });
  }
});
