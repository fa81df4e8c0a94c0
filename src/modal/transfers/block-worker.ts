import { Worker } from "node:worker_threads";

/** What was loaded into a block. */
export interface LoadedBytes {
  /** How many bytes there were; fewer than asked for at the end of the file. */
  readonly readBytes: number;
  /** How many of them are stored: trailing zeros are not. */
  readonly storedBytes: number;
  /** SHA-256 of the stored bytes. */
  readonly digest: Uint8Array;
}

/** Reading, hashing and writing of blocks, off the main thread. Rejects with node's own errors. */
export interface BlockThread {
  /** Reads a block of an open file into the front of `memory` and hashes it. */
  load(task: FilePart): Promise<LoadedBytes>;
  /** Hashes what is in the front of `memory`. */
  digest(task: Pick<FilePart, "memory" | "length">): Promise<LoadedBytes>;
  /** Pads stored bytes with zeros and writes the block; false, and nothing, when the digest is another. */
  save(
    task: FilePart & { readonly storedBytes: number; readonly digest: Uint8Array | undefined },
  ): Promise<boolean>;
}

interface FilePart {
  readonly fd: number;
  /** Where in the file. */
  readonly position: number;
  readonly memory: SharedArrayBuffer;
  /** How many bytes of the memory take part. */
  readonly length: number;
}

interface Reply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string; readonly code: string | undefined };
}

/** Its blocks are no part of its heap. */
const SMALL = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 32 };

interface Waiting {
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A thread that starts with the first block and does not keep the process alive. One hashes more than a line of
 * 10 Gbit/s carries; a second was no faster on two cores, and took its memory.
 */
export function blockThread(): BlockThread {
  let thread: Thread | undefined;
  const run = async <R>(kind: string, task: object): Promise<R> => {
    thread ??= startThread(() => {
      thread = undefined;
    });
    return await thread.run<R>({ ...task, kind });
  };
  return {
    load: async (task) => await run<LoadedBytes>("load", task),
    digest: async (task) => await run<LoadedBytes>("digest", task),
    save: async (task) => await run<boolean>("save", task),
  };
}

interface Thread {
  run<R>(task: object): Promise<R>;
}

function startThread(onEnd: () => void): Thread {
  const worker = new Worker(new URL("./block-thread.mjs", import.meta.url), {
    execArgv: [],
    env: {},
    resourceLimits: SMALL,
  });
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  let hasEnded = false;
  const end = (error: Error): void => {
    // An error is followed by an exit, and by then another thread may be at work.
    if (hasEnded) return;
    hasEnded = true;
    onEnd();
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  worker.on("error", end);
  worker.on("exit", (code) => end(new Error(`the thread for blocks ended with ${code}`)));
  worker.on("message", ({ id, result, error }: Reply) => {
    const task = waiting.get(id);
    waiting.delete(id);
    if (waiting.size === 0) worker.unref();
    if (error === undefined) task?.resolve(result as never);
    else task?.reject(Object.assign(new Error(error.message), { code: error.code }));
  });
  worker.unref();
  return {
    run: async <R>(task: object) =>
      await new Promise<R>((resolve, reject) => {
        waiting.set(++lastId, { resolve, reject });
        // While it works, it must not be lost with the end of everything else.
        worker.ref();
        worker.postMessage({ id: lastId, task });
      }),
  };
}
