// A thread that reads, hashes, fetches and writes blocks, so that the main thread, which renews leases and sends
// heartbeats, never does. Blocks in memory are shared: nothing is copied on the way. Plain JavaScript,
// because a thread is started from a file also where TypeScript is run as it is.
import { createHash } from "node:crypto";
import { readSync, writeSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { parentPort } from "node:worker_threads";
import { openStores, StaleConnectionError } from "./block-http.mjs";
import { directGet, StaleConnectionError as StaleGetError } from "./direct-get.mjs";

const ZEROS = Buffer.alloc(64 * 1024);
/** Bytes that are read at once; less costs calls, more does not stay in the processor's cache. */
const PIECE_BYTES = 256 * 1024;
/** Pieces that are hashed in one turn, so that connections do not wait for long. */
const PIECES_A_TURN = 4;

const stores = openStores({ onConnected: (connectedMs) => parentPort.postMessage({ connectedMs }) });
/** Buffers of a piece that are free. */
const spare = [];

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
  [StaleGetError, "stale"],
];

/** Settles with the hashing of the block that came last. */
let lastHash = Promise.resolve();

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
  /** The same, keeping none of it. One block after the other, so that the first ones are soon known. */
  async hash(task, signal) {
    const hashed = lastHash.then(async () => await hashPart(task, signal));
    lastHash = hashed.catch(() => undefined);
    return await hashed;
  },
  /** Sends a block, out of memory or out of a file, and gives the store's answer. */
  async put({ url, headers, memory, fd, position, length }, signal) {
    const open = () =>
      memory === undefined ? piecesOf(fd, position, length) : Buffer.from(memory, 0, length);
    const { status, body } = await stores.exchange(url, { method: "PUT", headers, open, signal });
    return { status, body };
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

async function hashPart({ fd, position, length }, signal) {
  signal.throwIfAborted();
  const hash = createHash("sha256");
  let read = 0;
  let storedBytes = 0;
  await withPiece(async (piece) => {
    for (let pieces = 1; read < length; pieces++) {
      const got = readSync(fd, piece, 0, Math.min(PIECE_BYTES, length - read), position + read);
      if (got === 0) return;
      const kept = lengthWithoutTrailingZeros(piece.subarray(0, got));
      if (kept > 0) {
        // Zeros are stored where something comes after them.
        for (let zeros = read - storedBytes; zeros > 0; zeros -= ZEROS.length)
          hash.update(ZEROS.subarray(0, zeros));
        hash.update(piece.subarray(0, kept));
        storedBytes = read + kept;
      }
      read += got;
      if (pieces % PIECES_A_TURN === 0) await turn();
      signal.throwIfAborted();
    }
  });
  return { readBytes: read, storedBytes, digest: hash.digest() };
}

/** Runs some work with a buffer of a piece. */
async function withPiece(work) {
  const piece = spare.pop() ?? Buffer.allocUnsafeSlow(PIECE_BYTES);
  try {
    return await work(piece);
  } finally {
    spare.push(piece);
  }
}

/**
 * A part of a file, in one buffer that is filled again and again: undici asks for the next piece when the kernel has
 * the last one, as long as a piece is larger than a socket's own mark.
 */
async function* piecesOf(fd, position, length) {
  const piece = spare.pop() ?? Buffer.allocUnsafeSlow(PIECE_BYTES);
  try {
    for (let sent = 0; sent < length;) {
      const got = readFile(fd, piece.subarray(0, Math.min(PIECE_BYTES, length - sent)), position + sent);
      yield piece.subarray(0, got);
      sent += got;
    }
  } finally {
    spare.push(piece);
  }
}

function readFile(fd, into, position) {
  const got = readSync(fd, into, 0, into.length, position);
  if (got === 0) throw new FileError(new Error("the file became shorter while it was sent"));
  return got;
}

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
