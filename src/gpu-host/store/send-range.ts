import type { FileHandle } from "node:fs/promises";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";

/** Much less costs calls, much more does not stay in the processor's cache between the disk and the line. */
const CHUNK_BYTES = 256 * 1024;

/** As many as a busy client's connections need; more connections get buffers of their own. */
const SPARE_BUFFERS = 32;

const ZEROS = Buffer.alloc(64 * 1024);

/** Fresh memory for each chunk would cost more than to read it. */
const spare: Buffer[] = [];

export interface FileRange {
  readonly start: number;
  readonly length: number;
}

/**
 * Sends a part of a file: two buffers take turns, one is filled while the other goes out.
 *
 * @param disturb - for tests: what to do to the bytes on their way; it must copy what it changes or keeps
 */
export async function sendRange(
  file: FileHandle,
  range: FileRange,
  to: Writable,
  disturb: (chunks: AsyncIterable<Buffer>) => AsyncIterable<Buffer> = (chunks) => chunks,
): Promise<void> {
  const buffers = [takeBuffer(), takeBuffer()] as const;
  await pipeline(disturb(chunksOf(file, range, buffers)), to);
  // Not those of a broken answer, parts of which may still be on their way.
  spare.push(...buffers.slice(0, SPARE_BUFFERS - spare.length));
}

/** What a client that pads blocks itself need not be sent. */
export async function lengthWithoutTrailingZeros(
  file: FileHandle,
  { start, length }: FileRange,
): Promise<number> {
  const buffer = Buffer.allocUnsafe(ZEROS.length);
  for (let end = length; end > 0;) {
    const from = Math.max(0, end - buffer.length);
    const bytes = await readAll(file, buffer.subarray(0, end - from), start + from);
    if (!bytes.equals(ZEROS.subarray(0, bytes.length)))
      return from + 1 + bytes.findLastIndex((byte) => byte !== 0);
    end = from;
  }
  return 0;
}

/**
 * A chunk is overwritten when the next but one is asked for. That is after it went out: a stream that got
 * more than it likes to hold asks for more only then, and every chunk but the last is more than that.
 */
async function* chunksOf(
  file: FileHandle,
  { start, length }: FileRange,
  buffers: readonly [Buffer, Buffer],
): AsyncGenerator<Buffer> {
  const read = async (turn: number): Promise<Buffer> => {
    const offset = turn * CHUNK_BYTES;
    return await readAll(file, buffers[turn % 2 === 0 ? 0 : 1].subarray(0, length - offset), start + offset);
  };
  const turns = Math.ceil(length / CHUNK_BYTES);
  let ahead = read(0);
  for (let turn = 0; turn < turns; turn++) {
    const chunk = await ahead;
    if (turn + 1 < turns) {
      ahead = read(turn + 1);
      // When the reader leaves, nobody waits for it.
      ahead.catch(() => undefined);
    }
    yield chunk;
  }
}

async function readAll(file: FileHandle, buffer: Buffer, position: number): Promise<Buffer> {
  for (let done = 0; done < buffer.length;) {
    const { bytesRead } = await file.read(buffer, done, buffer.length - done, position + done);
    if (bytesRead === 0) throw new Error("The file became shorter while it was read");
    done += bytesRead;
  }
  return buffer;
}

function takeBuffer(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
}
