import { createHash } from "node:crypto";
import { chmod, type FileHandle, open, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { BLOCK_BYTES, blockLength } from "./blocks.ts";
import { fromFile, type Receive } from "./landing.ts";
import { lengthWithoutTrailingZeros } from "./trailing-zeros.ts";

/** The bytes that arrived for a block are not the ones that were announced. */
export class BlockRefused extends Error {}

/** A block's mark: the digest of what it holds, or one of these. */
const MARK_BYTES = 32;
const UNTOUCHED = Buffer.alloc(MARK_BYTES);
const DIRTY = Buffer.alloc(MARK_BYTES, 0xff);

/** A file on its way into a volume, or a part of one: where it goes and what its blocks must be. */
export interface PlannedFile {
  readonly path: string;
  /** Index of the first block; not 0 only for a part. */
  readonly at: number;
  /** Digest of the whole file's first block, as hex; empty where there is none. */
  readonly fileStart: string;
  readonly sizeBytes: number;
  /** SHA-256 of each block without its trailing zeros, as hex. */
  readonly digests: readonly string[];
}

/** A block on its way: its place, and whether something else was there. */
interface Arrival {
  readonly data: FileHandle;
  readonly marks: FileHandle;
  /** The block is there already: what comes is compared and not written. */
  readonly isThere: boolean;
  readonly wasTouched: boolean;
}

/**
 * A file in the making, into which blocks are written at their final place. A second file has a mark per
 * block, so an upload that goes on in another process, or after this host was restarted, sends only what
 * is missing. The name is made of the path and the first block: a client that names a file while it is
 * still reading it names parts of the same file.
 */
export class Staging {
  readonly #dataFile: string;
  readonly #marksFile: string;

  constructor(directory: string, uploadId: string) {
    this.#dataFile = join(directory, `${uploadId}.data`);
    this.#marksFile = join(directory, `${uploadId}.marks`);
  }

  static uploadId(file: PlannedFile): string {
    const identity = JSON.stringify([file.path, file.fileStart]);
    return createHash("sha256").update(identity).digest("hex").slice(0, 32);
  }

  /** Makes the files where needed and gives the blocks that have not arrived, counted from the part's first. */
  async missing({ at, sizeBytes, digests }: PlannedFile): Promise<number[]> {
    const length = digests.length * MARK_BYTES;
    await growTo(this.#dataFile, at * BLOCK_BYTES + sizeBytes);
    await growTo(this.#marksFile, at * MARK_BYTES + length);
    await using file = await open(this.#marksFile);
    const { buffer: marks } = await file.read(Buffer.alloc(length), 0, length, at * MARK_BYTES);
    return [...digests.keys()].filter((index) => {
      const mark = marks.subarray(index * MARK_BYTES, (index + 1) * MARK_BYTES);
      return mark.toString("hex") !== digests[index];
    });
  }

  /** Opens the place of a block; from then on the block counts as missing, unless it is there already. */
  async begin(index: number, digest: string): Promise<Arrival> {
    const data = await open(this.#dataFile, "r+");
    try {
      const marks = await open(this.#marksFile, "r+");
      const mark = await readMark(marks, index);
      const isThere = mark.toString("hex") === digest;
      if (!isThere) await writeMark(marks, index, DIRTY);
      return { data, marks, isThere, wasTouched: !mark.equals(UNTOUCHED) };
    } catch (error) {
      await data.close();
      throw error;
    }
  }

  /** Writes one block and verifies it while it streams. */
  async write(
    { data, marks, isThere, wasTouched }: Arrival,
    block: { index: number; lengthBytes: number; digest: string },
    receive: Receive,
  ): Promise<void> {
    await using _data = data;
    await using _marks = marks;
    const { index, lengthBytes: length, digest } = block;
    const position = index * BLOCK_BYTES;
    const file = isThere ? undefined : data;
    const received = await receive({ file, position, limit: length, algorithm: "sha256" });
    if (received.bytes > length) throw new BlockRefused(`The block is longer than ${length} bytes`);
    if (received.digest !== digest) {
      throw new BlockRefused("The block's SHA-256 is not the announced one");
    }
    if (isThere) return;
    // Earlier bytes must not show through as the block's trailing zeros.
    if (wasTouched) await fillZeros(data, position + received.bytes, length - received.bytes);
    await writeMark(marks, index, Buffer.from(digest, "hex"));
  }

  /** Takes a block over from a file that has the same one at this place. */
  async copy(index: number, file: PlannedFile, from: string): Promise<void> {
    const digest = file.digests[index] ?? "";
    const start = index * BLOCK_BYTES;
    const lengthBytes = blockLength(file.sizeBytes, index);
    await using handle = await open(from);
    const storedBytes = await lengthWithoutTrailingZeros(handle, { start, length: lengthBytes });
    const arrival = await this.begin(index, digest);
    await this.write(arrival, { index, lengthBytes, digest }, fromFile(handle, start, storedBytes));
  }

  /** Gives the finished file its size and its mode, and then to `move`, which takes it away. */
  async finish(sizeBytes: number, mode: number, move: (file: string) => Promise<void>): Promise<void> {
    await truncate(this.#dataFile, sizeBytes);
    await chmod(this.#dataFile, mode);
    await move(this.#dataFile);
    await rm(this.#marksFile, { force: true });
  }
}

/** Never cuts: an earlier request may have named bytes beyond, and name them again. */
async function growTo(file: string, sizeBytes: number): Promise<void> {
  await using handle = await open(file, "a");
  if ((await handle.stat()).size < sizeBytes) await handle.truncate(sizeBytes);
}

async function readMark(marks: FileHandle, index: number): Promise<Buffer> {
  const { buffer } = await marks.read(Buffer.alloc(MARK_BYTES), 0, MARK_BYTES, index * MARK_BYTES);
  return buffer;
}

async function writeMark(marks: FileHandle, index: number, mark: Buffer): Promise<void> {
  await marks.write(mark, 0, MARK_BYTES, index * MARK_BYTES);
}

async function fillZeros(file: FileHandle, start: number, length: number): Promise<void> {
  if (length > 0) await file.write(Buffer.alloc(length), 0, length, start);
}
