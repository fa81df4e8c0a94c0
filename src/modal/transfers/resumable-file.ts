import type { FileHandle } from "node:fs/promises";
import { blockCount } from "./blocks.ts";

const IDENTITY_BYTES = 32;

/** Record of the blocks that an unfinished file has. */
export interface ResumableFile {
  has(index: number): boolean;
  /** Records that a block is in the file. */
  arrived(index: number): Promise<void>;
  /** Removes the notes, which leaves the fetched content alone in the file. */
  finish(): Promise<void>;
}

/**
 * Opens a file that an interrupted download of the same content may have begun. Notes stand behind the
 * content, in the same file: what it is, and one byte for each block that has arrived. They outlive the
 * process, not the machine's power: whoever uses this compares the digest of the whole in the end.
 *
 * @param into - open for reading and writing
 * @param identity - SHA-256 of the content, hexadecimal; undefined starts anew
 */
export async function openResumableFile(
  into: FileHandle,
  sizeBytes: number,
  identity: string | undefined,
): Promise<ResumableFile> {
  const count = blockCount(sizeBytes);
  const arrived = identity === undefined ? undefined : await readNotes(into, sizeBytes, identity);
  if (arrived === undefined) {
    // Not where it is empty already: ext4 starts to write a file out at its closing when it was cut to nothing.
    if ((await into.stat()).size > 0) await into.truncate(0);
    await into.truncate(sizeBytes);
    if (identity !== undefined) {
      const notes = Buffer.concat([Buffer.from(identity, "hex"), Buffer.alloc(count)]);
      await into.write(notes, 0, notes.length, sizeBytes);
    }
  }
  return {
    has: (index) => arrived?.[index] === 1,
    arrived: async (index) => {
      if (identity !== undefined) await into.write(Buffer.of(1), 0, 1, sizeBytes + IDENTITY_BYTES + index);
    },
    finish: async () => await into.truncate(sizeBytes),
  };
}

async function readNotes(into: FileHandle, sizeBytes: number, identity: string): Promise<Buffer | undefined> {
  const length = IDENTITY_BYTES + blockCount(sizeBytes);
  if ((await into.stat()).size !== sizeBytes + length) return undefined;
  const { buffer } = await into.read(Buffer.alloc(length), 0, length, sizeBytes);
  const isTheSame = buffer.toString("hex", 0, IDENTITY_BYTES) === identity;
  return isTheSame ? buffer.subarray(IDENTITY_BYTES) : undefined;
}
