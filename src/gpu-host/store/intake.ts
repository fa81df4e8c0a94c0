import type { FileHandle } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { callbackify } from "node:util";
import { Worker } from "node:worker_threads";

/** Two hash and write more than the main thread reads from sockets; one does not. */
const THREADS = Math.min(2, availableParallelism());

/**
 * Sockets give small pieces; handed on one by one they would cost more time than their bytes. An upload's
 * memory is three times this: with the thread, waiting for it, and waiting to wait.
 */
const HANDED_BYTES = 512 * 1024;

type Question =
  | {
      readonly kind: "append";
      readonly upload: number;
      readonly algorithm: string;
      readonly pieces: readonly Uint8Array[];
      readonly fd: number | undefined;
      readonly position: number;
    }
  | { readonly kind: "end"; readonly upload: number; readonly algorithm: string }
  | { readonly kind: "abandon"; readonly upload: number };

interface Answer {
  readonly digest?: string;
  readonly error?: { readonly message: string; readonly code: string | undefined };
}

interface Waiting {
  readonly resolve: (digest: string) => void;
  readonly reject: (error: Error) => void;
}

/** Takes uploads in: threads hash the bytes and write them while they arrive. */
export class Intake {
  readonly #threads: (Thread | undefined)[] = Array.from({ length: THREADS });
  #uploads = 0;

  /**
   * Writes what comes to its place in a file and hashes it; without a file it is only hashed. What is
   * beyond `limit` is read but neither written nor hashed, so that the sender hears what is wrong.
   *
   * The bytes are in the page cache when this resolves: they outlive this process, not the machine's power.
   */
  async receive(
    source: AsyncIterable<Uint8Array>,
    options: {
      readonly algorithm: "sha256" | "md5";
      readonly into: FileHandle | undefined;
      readonly position: number;
      readonly limit: number;
    },
  ): Promise<{ bytes: number; digest: string }> {
    const upload = this.#uploads++;
    const thread = this.#thread(upload % THREADS);
    const { algorithm, into, limit } = options;
    let bytes = 0;
    let pieces: Uint8Array[] = [];
    let start = options.position;
    let underway: Promise<unknown> = Promise.resolve();
    const hand = () => {
      const question = { kind: "append", upload, algorithm, pieces, fd: into?.fd, position: start } as const;
      start = options.position + bytes;
      pieces = [];
      underway = thread.ask(question);
      underway.catch(() => undefined);
    };
    const sink = new Writable({
      highWaterMark: HANDED_BYTES,
      write: (chunk: Uint8Array, _encoding, done) => {
        bytes += chunk.length;
        if (bytes > limit) return done();
        pieces.push(withOwnMemory(chunk));
        if (options.position + bytes - start < HANDED_BYTES) return done();
        // More may come while the thread is at this one; what was before it must be done.
        const before = underway;
        hand();
        settle(before, done);
      },
      final: (done) => {
        hand();
        settle(underway, done);
      },
    });
    try {
      await pipeline(source, sink);
      return { bytes, digest: await thread.ask({ kind: "end", upload, algorithm }) };
    } catch (error) {
      // Before the file is closed, and its number used for another one, the thread must be done with it.
      await thread.ask({ kind: "abandon", upload }).catch(() => undefined);
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const thread of this.#threads) await thread?.end();
  }

  /** Threads start with the first upload, and again after one that failed. */
  #thread(slot: number): Thread {
    return (this.#threads[slot] ??= new Thread(() => {
      this.#threads[slot] = undefined;
    }));
  }
}

class Thread {
  readonly #worker = new Worker(new URL("./intake-thread.mjs", import.meta.url), { execArgv: [], env: {} });
  readonly #waiting: Waiting[] = [];
  #failure: Error | undefined;

  constructor(onEnd: () => void) {
    const fail = (error: Error) => {
      this.#failure ??= error;
      onEnd();
      for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
    };
    this.#worker.on("error", fail);
    this.#worker.on("exit", () => fail(new Error("The thread that takes uploads in has ended")));
    this.#worker.on("message", ({ digest = "", error }: Answer) => {
      const waiting = this.#waiting.shift();
      if (error === undefined) waiting?.resolve(digest);
      else waiting?.reject(Object.assign(new Error(error.message), { code: error.code }));
    });
    this.#worker.unref();
  }

  async ask(question: Question): Promise<string> {
    if (this.#failure !== undefined) throw this.#failure;
    const given =
      question.kind === "append" ? question.pieces.map(({ buffer }) => buffer as ArrayBuffer) : [];
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(question, given);
    });
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** Tells a stream, which knows only callbacks, how a promise ended. */
const settle = callbackify((promise: Promise<unknown>) => promise);

/** Only memory that nobody else looks at can be given to a thread; sockets give such, so this copies nothing. */
function withOwnMemory(chunk: Uint8Array): Uint8Array {
  return chunk.byteLength === chunk.buffer.byteLength ? chunk : new Uint8Array(chunk);
}
