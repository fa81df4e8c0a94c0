// One of the threads that speak HTTP. What is in requests is decided by the main thread; bytes are hashed, written,
// read and sent here, where they arrive, and never cross to another thread. Plain JavaScript, because a thread is
// started from a file also where TypeScript is run as it is.
import { createHash } from "node:crypto";
import { readSync, writeSync } from "node:fs";
import { createServer } from "node:http";
import { parentPort, workerData } from "node:worker_threads";

/** Much less costs calls, much more does not stay in the processor's cache between the disk and the line. */
const CHUNK_BYTES = 256 * 1024;
/** Longest body that is read as text. */
const LONGEST_TEXT = 64 * 1024;

/** Exchanges under way, by their number. */
const exchanges = new Map();
let lastId = 0;

/** Buffers for sending that are free. Fresh memory for each answer would cost more than to fill it. */
const spare = [];
/** As many as a busy client's connections need. */
const MAX_SPARE = 16;

const { host, port, keepAliveMs, requestTimeoutMs } = workerData;
const server = createServer((request, response) => {
  const id = ++lastId;
  exchanges.set(id, { request, response });
  response.on("close", () => exchanges.delete(id));
  // The main thread is told when the other side disconnects.
  request.on("error", () => undefined);
  response.on("error", () => undefined);
  const { method, url, headers } = request;
  parentPort.postMessage({ id, opened: { method, url, headers } });
});
server.keepAliveTimeout = keepAliveMs;
server.requestTimeout = requestTimeoutMs;
server.on("error", ({ message, code }) => parentPort.postMessage({ failed: { message, code } }));
server.listen(port, host, () => parentPort.postMessage({ port: server.address().port }));

parentPort.on("message", (message) => void obey(message));

async function obey({ id, kind, order }) {
  try {
    const exchange = exchanges.get(id);
    if (exchange === undefined) throw new GoneError();
    parentPort.postMessage({ id, result: await WORK[kind](exchange, order) });
  } catch (error) {
    const { message, code } = error;
    parentPort.postMessage({ id, error: { message, code, isGone: error instanceof GoneError } });
  }
}

class GoneError extends Error {
  constructor() {
    super("the other side went away");
  }
}

const WORK = {
  /**
   * Hashes what comes, and writes it to its place where there is a file to write to. What is beyond `limit` is only
   * counted. For tests, `flips` the first byte, or hangs up when `cutAfter` bytes have come.
   */
  async receive({ request }, { fd, position, limit, algorithm, flips, cutAfter }) {
    const hash = createHash(algorithm);
    let bytes = 0;
    await eachPiece(request, (piece) => {
      if (flips && bytes === 0) piece[0] ^= 0xff;
      if (bytes + piece.length > cutAfter) throw hangUp(request);
      if (bytes + piece.length <= limit) {
        hash.update(piece);
        if (fd !== undefined) writeAll(fd, piece, position + bytes);
      }
      bytes += piece.length;
    });
    if (bytes >= cutAfter) throw hangUp(request);
    return { bytes, digest: hash.digest("hex") };
  },

  /** The body, as text. */
  async text({ request }) {
    const pieces = [];
    let bytes = 0;
    await eachPiece(request, (piece) => {
      bytes += piece.length;
      if (bytes <= LONGEST_TEXT) pieces.push(piece);
    });
    return bytes > LONGEST_TEXT ? null : Buffer.concat(pieces).toString();
  },

  /** Sends a part of a file. */
  async send({ response }, { fd, start, length, flips }) {
    response.writeHead(200, { "Content-Type": "application/octet-stream", "Content-Length": length });
    const buffer = spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
    try {
      for (let sent = 0; sent < length;) {
        const read = readSync(fd, buffer, 0, Math.min(CHUNK_BYTES, length - sent), start + sent);
        if (read === 0) throw new Error("The file became shorter while it was read");
        if (flips && sent === 0) buffer[0] ^= 0xff;
        await written(response, buffer.subarray(0, read));
        sent += read;
      }
    } catch (error) {
      response.destroy();
      throw error;
    }
    response.end();
    if (spare.length < MAX_SPARE) spare.push(buffer);
  },

  /** Ends the exchange; one whose answer has begun can only be broken off. */
  async answer({ response }, { status, headers, body }) {
    if (response.headersSent) return void response.destroy();
    response.writeHead(status, { ...headers, "Content-Length": Buffer.byteLength(body) }).end(body);
  },

  async drop({ request }) {
    request.socket.destroy();
  },
};

/** Rejects with what `take` throws; the rest of the body is then passed over, so that the sender hears the answer. */
async function eachPiece(request, take) {
  await new Promise((resolve, reject) => {
    const onData = (piece) => {
      try {
        take(piece);
      } catch (error) {
        // The rest of the body is read and dropped.
        request.off("data", onData);
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    };
    request.on("data", onData);
    request.on("end", resolve);
    request.on("close", () => reject(new GoneError()));
    if (request.destroyed) reject(new GoneError());
  });
}

function hangUp(request) {
  request.socket.destroy();
  return new GoneError();
}

/** When this resolves, the kernel has the bytes, and their memory can be used again. */
async function written(response, bytes) {
  await new Promise((resolve, reject) => {
    const gone = () => reject(new GoneError());
    response.once("close", gone);
    response.write(bytes, (error) => {
      response.off("close", gone);
      if (error) reject(new GoneError());
      else resolve();
    });
  });
}

/** A disk that is nearly full takes a part before it refuses. */
function writeAll(fd, bytes, position) {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
  }
}
