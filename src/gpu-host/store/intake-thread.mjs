// A thread that hashes and writes what arrives, so that the main thread, which serves heartbeats and long
// polls, only hands it on. Plain JavaScript, because a thread starts from a file also where TypeScript is
// run as it is. Answers come in the order of the questions.
import { createHash } from "node:crypto";
import { writevSync } from "node:fs";
import { MessageChannel, parentPort } from "node:worker_threads";

/* oxlint-disable unicorn/require-post-message-target-origin -- threads have none, only windows do */

const hashes = new Map();

// What is transferred into a closed channel is freed at once. Left to the garbage collector, which does not
// see how much memory hangs on small objects, tens of megabytes would wait.
const { port1: bin, port2 } = new MessageChannel();
port2.close();

parentPort.on("message", (question) => {
  try {
    parentPort.postMessage({ digest: WORK[question.kind](question) });
  } catch ({ message, code }) {
    parentPort.postMessage({ error: { message, code } });
  }
});

const WORK = {
  /** Hashes the next pieces of an upload and writes them, where there is a file to write to. */
  append({ upload, algorithm, pieces, fd, position }) {
    hashOf(upload, algorithm, pieces);
    if (fd !== undefined) writeAll(fd, pieces, position);
    bin.postMessage(
      undefined,
      pieces.map(({ buffer }) => buffer),
    );
  },
  /** The digest of an upload that has arrived. */
  end({ upload, algorithm }) {
    const hash = hashOf(upload, algorithm, []);
    hashes.delete(upload);
    return hash.digest("hex");
  },
  /** When this is answered, nothing of the upload will be written any more. */
  abandon({ upload }) {
    hashes.delete(upload);
  },
};

function hashOf(upload, algorithm, pieces) {
  const hash = hashes.get(upload) ?? createHash(algorithm);
  hashes.set(upload, hash);
  for (const piece of pieces) hash.update(piece);
  return hash;
}

/** A disk that is nearly full takes a part before it refuses. */
function writeAll(fd, pieces, position) {
  for (let left = pieces, at = position; left.length > 0;) {
    const written = writevSync(fd, left, at);
    at += written;
    left = after(left, written);
  }
}

function after(pieces, bytes) {
  let skip = bytes;
  let index = 0;
  while (index < pieces.length && skip >= pieces[index].length) skip -= pieces[index++].length;
  const rest = pieces.slice(index);
  if (skip > 0) rest[0] = rest[0].subarray(skip);
  return rest;
}
