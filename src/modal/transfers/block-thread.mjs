// A thread that reads, hashes, fetches and writes blocks, so that the main thread, which renews leases and sends
// heartbeats, never does. Blocks in memory are shared: nothing is copied on the way. Plain JavaScript,
// because a thread is started from a file also where TypeScript is run as it is.
import { createHash } from "node:crypto";
import { readSync, writeSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { directGet, StaleConnectionError } from "./direct-get.mjs";

const ZEROS = Buffer.alloc(64 * 1024);

/** Tasks that run longer than one turn, by number. */
const underway = new Map();

parentPort.on("message", ({ id, task, isStopped, isPing }) => {
  if (isPing) parentPort.postMessage({ isPong: true });
  else if (isStopped) underway.get(id)?.abort();
  else void run(id, task);
});

async function run(id, task) {
  const stop = new AbortController();
  underway.set(id, stop);
  try {
    parentPort.postMessage({ id, result: await WORK[task.kind](task, stop.signal) });
  } catch (error) {
    const { message, code } = error;
    const kind = KINDS.find(([type]) => error instanceof type)?.[1];
    parentPort.postMessage({ id, error: { message, code, kind } });
  } finally {
    underway.delete(id);
  }
}

/** Error of the local file, as opposed to the store. */
class FileError extends Error {
  constructor(cause) {
    super(cause.message, { cause });
    this.code = cause.code;
  }
}

class CorruptError extends Error {}

/** Errors cross threads as plain data. */
const KINDS = [
  [FileError, "file"],
  [CorruptError, "corrupt"],
  [StaleConnectionError, "stale"],
];

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
  /** The same for a block that is filled already. */
  digest: ({ memory, length }) => ({ ...digested(Buffer.from(memory, 0, length)), readBytes: length }),
  /**
   * Fetches a block once, and writes its bytes as they come, while they are in the processor's cache. What is
   * missing up to its length becomes zeros. Gives what the store says of the digest, and what it is.
   */
  async fetch({ url, fd, position, length }, signal) {
    const hash = createHash("sha256");
    let storedBytes = 0;
    const onBody = (piece, { headers }) => {
      if (storedBytes + piece.length > length) throw new CorruptError(`more bytes came than ${length}`);
      if (headers["repr-digest"] !== undefined) hash.update(piece);
      writeAll(fd, piece, position + storedBytes);
      storedBytes += piece.length;
    };
    const { status, headers } = await directGet(url, { onBody, signal });
    if (status < 300) writeZeros(fd, position + storedBytes, length - storedBytes);
    return { status, storedBytes, announced: headers["repr-digest"], digest: hash.digest() };
  },
};

function writeZeros(fd, position, length) {
  for (let done = 0; done < length; done += ZEROS.length) {
    writeAll(fd, ZEROS.subarray(0, length - done), position + done);
  }
}

function writeAll(fd, bytes, position) {
  try {
    for (let done = 0; done < bytes.length;) {
      done += writeSync(fd, bytes, done, bytes.length - done, position + done);
    }
  } catch (error) {
    throw new FileError(error);
  }
}

function digested(block) {
  const storedBytes = lengthWithoutTrailingZeros(block);
  return { storedBytes, digest: createHash("sha256").update(block.subarray(0, storedBytes)).digest() };
}

/** Compares whole zero pages first (memcmp), then the remaining bytes. */
function lengthWithoutTrailingZeros(block) {
  let end = block.length;
  while (end >= ZEROS.length && ZEROS.equals(block.subarray(end - ZEROS.length, end))) end -= ZEROS.length;
  while (end > 0 && block[end - 1] === 0) end--;
  return end;
}
