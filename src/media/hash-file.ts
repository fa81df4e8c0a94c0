import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { z } from "zod";

/** Runs in a thread of its own: hashing gigabytes on the main thread would make heartbeats late. */
const HASHER = `
const { createHash } = require("node:crypto");
const { openSync, readSync, closeSync } = require("node:fs");
const { parentPort, workerData } = require("node:worker_threads");
const hash = createHash("sha256");
const chunk = Buffer.allocUnsafe(1 << 20);
const file = openSync(workerData, "r");
let bytes = 0;
for (let read; (read = readSync(file, chunk)) > 0; bytes += read) hash.update(chunk.subarray(0, read));
closeSync(file);
parentPort.postMessage({ bytes, sha256: hash.digest("hex") });
`;

const answerSchema = z.tuple([z.object({ bytes: z.number(), sha256: z.string() })]);

/** Size and SHA-256 (hexadecimal) of a file, read in a worker thread. Rejects with node's own errors. */
export async function hashFile(path: string): Promise<{ bytes: number; sha256: string }> {
  const worker = new Worker(HASHER, { eval: true, workerData: path });
  try {
    // `once` rejects when the thread emits an error.
    return answerSchema.parse(await once(worker, "message"))[0];
  } finally {
    await worker.terminate();
  }
}
