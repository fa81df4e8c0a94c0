// A thread that reads, hashes and writes blocks, so that the main thread, which renews leases and sends
// heartbeats, never does. Blocks are shared memory: nothing is copied on the way. Plain JavaScript,
// because a thread is started from a file also where TypeScript is run as it is.
import { createHash } from "node:crypto";
import { readSync, writeSync } from "node:fs";
import { parentPort } from "node:worker_threads";

const ZEROS = Buffer.alloc(64 * 1024);

parentPort.on("message", ({ id, task }) => {
  try {
    parentPort.postMessage({ id, result: WORK[task.kind](task) });
  } catch (error) {
    parentPort.postMessage({ id, error: { message: error.message, code: error.code } });
  }
});

const WORK = {
  /** Reads a block of a file; says how much there was, how much of it is stored, and the digest of that. */
  load({ fd, position, memory, length }) {
    const block = Buffer.from(memory, 0, length);
    let read = 0;
    for (let got = 1; read < length && got > 0; read += got) {
      got = readSync(fd, block, read, length - read, position + read);
    }
    return { ...digested(block.subarray(0, read)), readBytes: read };
  },
  /** The same for a block that somebody else has filled. */
  digest: ({ memory, length }) => ({ ...digested(Buffer.from(memory, 0, length)), readBytes: length }),
  /** Compares the stored bytes with their digest and writes the block; false when they differ. */
  save({ fd, position, memory, length, storedBytes, digest }) {
    const stored = Buffer.from(memory, 0, storedBytes);
    if (digest !== undefined && !createHash("sha256").update(stored).digest().equals(digest)) return false;
    const block = Buffer.from(memory, 0, length).fill(0, storedBytes);
    for (let done = 0; done < length;) {
      done += writeSync(fd, block, done, length - done, position + done);
    }
    return true;
  },
};

function digested(block) {
  const storedBytes = lengthWithoutTrailingZeros(block);
  return { storedBytes, digest: createHash("sha256").update(block.subarray(0, storedBytes)).digest() };
}

/** Whole zero pages first, by memcmp, then the rest by hand. */
function lengthWithoutTrailingZeros(block) {
  let end = block.length;
  while (end >= ZEROS.length && ZEROS.equals(block.subarray(end - ZEROS.length, end))) end -= ZEROS.length;
  while (end > 0 && block[end - 1] === 0) end--;
  return end;
}
