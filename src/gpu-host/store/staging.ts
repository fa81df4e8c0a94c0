import { createHash } from "node:crypto";
import { type FileHandle, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { BLOCK_BYTES, blockCount, blockLength } from "./blocks.ts";

/** The bytes that arrived for a block are not the ones that were announced. */
export class BlockRefused extends Error {}

/** Sockets give small pieces; written one by one they would cost more time than their bytes. */
const BATCH_BYTES = 1024 * 1024;

/** What happened to a block so far; the value is its byte in the marks file. */
const Mark = { UNTOUCHED: 0, DIRTY: 1, DONE: 2 } as const;

/** A file on its way into a volume: where it goes and what its blocks must be. */
export interface PlannedFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** SHA-256 of each block without its trailing zeros, as hex. */
  readonly digests: readonly string[];
}

/**
 * A file in the making, at its final size, into which blocks are written at their final place.
 *
 * Its name is derived from what is being uploaded, and a second file has a mark per block, so an upload
 * that goes on in another process, or after this host was restarted, sends only what is missing.
 */
export class Staging {
  readonly dataFile: string;
  readonly marksFile: string;

  constructor(directory: string, uploadId: string) {
    this.dataFile = join(directory, `${uploadId}.data`);
    this.marksFile = join(directory, `${uploadId}.marks`);
  }

  static uploadId(file: PlannedFile): string {
    const identity = JSON.stringify([file.path, file.sizeBytes, file.digests]);
    return createHash("sha256").update(identity).digest("hex").slice(0, 32);
  }

  /** Makes the files where needed and gives the indices of the blocks that have not arrived. */
  async missing(file: PlannedFile): Promise<number[]> {
    const count = blockCount(file.sizeBytes);
    await resize(this.dataFile, file.sizeBytes);
    await resize(this.marksFile, count);
    const marks = await readFile(this.marksFile);
    return Array.from({ length: count }, (_, index) => index).filter((index) => marks[index] !== Mark.DONE);
  }

  /** Writes one block and verifies it while it streams. */
  async write(index: number, digest: string, source: AsyncIterable<Uint8Array>): Promise<void> {
    await using data = await open(this.dataFile, "r+");
    await using marks = await open(this.marksFile, "r+");
    const length = blockLength((await data.stat()).size, index);
    const mark = await readMark(marks, index);
    // A block that is already right is verified again but not touched: the second sender may be wrong.
    const into = mark === Mark.DONE ? undefined : data;
    if (into !== undefined) await writeMark(marks, index, Mark.DIRTY);
    const written = await copyVerified(source, into, index * BLOCK_BYTES, length, digest);
    if (into === undefined) return;
    // What an earlier, broken attempt left behind must not show through as the block's trailing zeros.
    if (mark === Mark.DIRTY) await fillZeros(into, index * BLOCK_BYTES + written, length - written);
    await writeMark(marks, index, Mark.DONE);
  }
}

async function copyVerified(
  source: AsyncIterable<Uint8Array>,
  into: FileHandle | undefined,
  start: number,
  limit: number,
  digest: string,
): Promise<number> {
  const hash = createHash("sha256");
  let received = 0;
  let batch: Uint8Array[] = [];
  let batchBytes = 0;
  const flush = async () => {
    if (batch.length > 0) await into?.writev(batch, start + received - batchBytes);
    batch = [];
    batchBytes = 0;
  };
  for await (const chunk of source) {
    received += chunk.length;
    // The rest of a block that is too long is read all the same, so that its sender hears why.
    if (received > limit) continue;
    hash.update(chunk);
    batch.push(chunk);
    batchBytes += chunk.length;
    if (batchBytes >= BATCH_BYTES) await flush();
  }
  if (received > limit) throw new BlockRefused(`The block is longer than ${limit} bytes`);
  await flush();
  if (hash.digest("hex") !== digest) throw new BlockRefused("The block's SHA-256 is not the announced one");
  return received;
}

async function resize(file: string, sizeBytes: number): Promise<void> {
  await using handle = await open(file, "a");
  await handle.truncate(sizeBytes);
}

async function readMark(marks: FileHandle, index: number): Promise<number> {
  const { buffer } = await marks.read(Buffer.alloc(1), 0, 1, index);
  return buffer.readUInt8(0);
}

async function writeMark(marks: FileHandle, index: number, mark: number): Promise<void> {
  await marks.write(Buffer.of(mark), 0, 1, index);
}

async function fillZeros(file: FileHandle, start: number, length: number): Promise<void> {
  if (length > 0) await file.write(Buffer.alloc(length), 0, length, start);
}
