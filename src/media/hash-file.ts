import { once } from "node:events";
import { readFile, stat } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { z } from "zod";

/** A thread costs some 60 ms of processor time to start; less than this is hashed quicker by WebCrypto's own. */
const SMALL_BYTES = 8 * 1024 * 1024;

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

/** Size and SHA-256 (hexadecimal) of a file, never worked out on the main thread. Rejects with node's own errors. */
export async function hashFile(path: string): Promise<{ bytes: number; sha256: string }> {
  const { size } = await stat(path);
  return size <= SMALL_BYTES ? await hashSmall(path) : await hashInThread(path);
}

async function hashSmall(path: string): Promise<{ bytes: number; sha256: string }> {
  const content = await readFile(path);
  const digest = await crypto.subtle.digest("SHA-256", content);
  return { bytes: content.length, sha256: Buffer.from(digest).toString("hex") };
}

async function hashInThread(path: string): Promise<{ bytes: number; sha256: string }> {
  // Without the options of the program that we are in: one could say that such code is a module.
  const worker = new Worker(HASHER, { eval: true, workerData: path, execArgv: [] });
  try {
    // `once` rejects when the thread emits an error.
    return answerSchema.parse(await once(worker, "message"))[0];
  } finally {
    await worker.terminate();
  }
}
