import { Worker } from "node:worker_threads";
import { announcedDigest, sameBytes } from "./blocks.ts";
import { StaleConnectionError } from "./http-exchange.ts";

/** Content of a loaded block. */
export interface LoadedBytes {
  /** How many bytes there were; fewer than asked for at the end of the file. */
  readonly readBytes: number;
  /** How many of them are stored: trailing zeros are not. */
  readonly storedBytes: number;
  /** SHA-256 of the stored bytes. */
  readonly digest: Uint8Array;
}

/** Answer of the store to a block that was sent. */
export interface StoreAnswer {
  readonly status: number;
  /** Of a successful answer. */
  readonly body: Uint8Array;
}

/** How one try of fetching a block ended. */
export interface FetchedBlock {
  /** Answer of the store. */
  readonly status: number;
  /** How many bytes came. What is missing up to the block's length are zeros. */
  readonly storedBytes: number;
  /** Whether they have the digest that came with them; undefined when none came. */
  readonly isProven: boolean | undefined;
}

/** Reading, hashing, fetching and writing of blocks, off the main thread. Rejects with node's own errors. */
export interface BlockThread {
  /** Reads a block of an open file into the front of `memory` and hashes it. */
  load(task: FilePart & SharedPart, signal: AbortSignal): Promise<LoadedBytes>;
  /** Reads a block of an open file and hashes it, keeping nothing. */
  hash(task: FilePart & { readonly length: number }, signal: AbortSignal): Promise<LoadedBytes>;
  /** Sends bytes of an open file, or of memory, once. Rejects also with `StaleConnectionError`. */
  put(
    task: {
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly length: number;
    } & (FilePart | { readonly memory: SharedArrayBuffer }),
    signal: AbortSignal,
  ): Promise<StoreAnswer>;
  /** Hashes what is in the front of `memory`. */
  digest(task: SharedPart): Promise<LoadedBytes>;
  /**
   * Fetches a block into an open file, once. Nothing writes there any more when this settles. Rejects also with
   * `FileError`, `CorruptError` and `StaleConnectionError`.
   */
  fetch(
    task: FilePart & { readonly url: string; readonly length: number },
    signal: AbortSignal,
  ): Promise<FetchedBlock>;
}

/** Failure to read or write the local file, independent of the store. */
export class FileError extends Error {}

/** The thread hangs in the file. It may still fill the memory that it was given, whenever the file answers. */
export class UnansweredError extends FileError {
  readonly code = "ETIMEDOUT";
}

/** More bytes arrived than the block has. */
export class CorruptError extends Error {}

interface FilePart {
  readonly fd: number;
  /** Where in the file. */
  readonly position: number;
}

interface SharedPart {
  readonly memory: SharedArrayBuffer;
  /** How many bytes of the memory take part. */
  readonly length: number;
}

/** Report of the thread on a block that it fetched. */
interface Fetched extends Pick<FetchedBlock, "status" | "storedBytes"> {
  /** The header `Repr-Digest`. */
  readonly announced: string | undefined;
  /** SHA-256 of what came; of nothing where none was announced. */
  readonly digest: Uint8Array;
}

interface Reply {
  /** Number of the task that it is about. */
  readonly id?: number;
  readonly isPong?: boolean;
  /** Milliseconds that a new connection took. */
  readonly connectedMs?: number;
  readonly result?: unknown;
  readonly error?: {
    readonly message: string;
    readonly code: string | undefined;
    readonly kind?: keyof typeof KINDS;
  };
}

/** Errors that are more than what node says of them; they cross threads as plain data. */
const KINDS = { file: FileError, corrupt: CorruptError, stale: StaleConnectionError };

/** Heap limit of the thread; blocks lie outside its heap. */
const SMALL = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 32 };

interface Waiting {
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

/** One thread for each file system: where one hangs, the blocks of the others go on. */
export interface BlockThreads {
  /** The thread for files of this device; null for blocks that are in no file. */
  of(device: bigint | null): BlockThread;
}

/** Threads at most; further file systems share the last one. */
const MOST_THREADS = 16;

/** Starts a thread with the first block of each file system. @param onConnected - told how long a connection took */
export function blockThreads(onConnected?: (ms: number) => void): BlockThreads {
  const threads = new Map<bigint | null, BlockThread>();
  return {
    of(device) {
      const key =
        threads.has(device) || threads.size < MOST_THREADS ? device : ([...threads.keys()].at(-1) ?? null);
      const thread = threads.get(key) ?? blockThread(onConnected);
      threads.set(key, thread);
      return thread;
    },
  };
}

/** A thread that answers nothing for so long hangs in a file, such as one of a network mount that is gone. */
const ANSWER_MS = 60_000;
const PING_MS = 10_000;
/** Longest wait for a block that nobody wants any more. */
const STOP_MS = 1000;
/** Work that leaves nothing behind when it is not waited for. */
const MAY_ABANDON: ReadonlySet<string> = new Set(["load", "hash", "put"]);

/**
 * Starts a thread with the first block; it does not keep the process alive. One thread hashes about as much as a
 * 10 Gbit/s line carries; on two cores a second one is no faster and takes more memory.
 */
export function blockThread(onConnected: (ms: number) => void = () => {}): BlockThread {
  let thread: Thread | undefined;
  const run = async <R>(kind: string, task: object, signal?: AbortSignal): Promise<R> => {
    thread ??= startThread(onConnected, () => {
      thread = undefined;
    });
    return await thread.run<R>({ ...task, kind }, signal, MAY_ABANDON.has(kind));
  };
  return {
    load: async (task, signal) => await run<LoadedBytes>("load", task, signal),
    hash: async (task, signal) => await run<LoadedBytes>("hash", task, signal),
    put: async (task, signal) => await run<StoreAnswer>("put", task, signal),
    digest: async (task) => await run<LoadedBytes>("digest", task),
    fetch: async (task, signal) => {
      const { announced, digest, ...fetched } = await run<Fetched>("fetch", task, signal);
      const wanted = announcedDigest(announced);
      return { ...fetched, isProven: wanted && sameBytes(digest, wanted) };
    },
  };
}

interface Thread {
  /** Runs a task; with a signal, one that can be stopped half-way, or that is abandoned when it does not answer. */
  run<R>(task: object, signal?: AbortSignal, mayAbandon?: boolean): Promise<R>;
}

function startThread(onConnected: (ms: number) => void, onEnd: () => void): Thread {
  const worker = new Worker(new URL("./block-thread.mjs", import.meta.url), {
    execArgv: [],
    env: {},
    resourceLimits: SMALL,
  });
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  let hasEnded = false;
  const end = (error: Error): void => {
    // An error is followed by an exit; by then another thread may have taken over.
    if (hasEnded) return;
    hasEnded = true;
    clearInterval(pings);
    onEnd();
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  /** No more of its code runs, but the file system may keep the thread itself. */
  const giveUp = (): void => {
    end(new UnansweredError(`the file system has not answered for ${ANSWER_MS / 1000} s`));
    void worker.terminate();
  };
  let heardAt = 0;
  const pings = setInterval(() => {
    if (waiting.size === 0) return;
    if (performance.now() - heardAt > ANSWER_MS) giveUp();
    else worker.postMessage({ isPing: true });
  }, PING_MS).unref();
  worker.on("error", end);
  worker.on("exit", (code) => end(new Error(`the thread for blocks ended with ${code}`)));
  worker.on("message", ({ id, result, error, isPong, connectedMs }: Reply) => {
    heardAt = performance.now();
    if (connectedMs !== undefined) onConnected(connectedMs);
    if (id === undefined || isPong === true) return;
    const task = waiting.get(id);
    waiting.delete(id);
    if (waiting.size === 0) worker.unref();
    if (error === undefined) return task?.resolve(result as never);
    const { message, code, kind } = error;
    task?.reject(Object.assign(new (kind === undefined ? Error : KINDS[kind])(message), { code }));
  });
  worker.unref();
  return {
    run: async <R>(task: object, signal?: AbortSignal, mayAbandon = false) => {
      const id = ++lastId;
      let late: NodeJS.Timeout | undefined;
      let onAbort = (): void => {};
      if (waiting.size === 0) heardAt = performance.now();
      try {
        return await new Promise<R>((resolve, reject) => {
          const stop = (): void => {
            worker.postMessage({ id, isStopped: true });
            if (mayAbandon)
              late = setTimeout(() => reject(new UnansweredError("the file is not waited for")), STOP_MS);
          };
          onAbort = stop;
          waiting.set(id, { resolve, reject });
          // A working thread must keep the process alive.
          worker.ref();
          worker.postMessage({ id, task });
          if (signal?.aborted === true) stop();
          else signal?.addEventListener("abort", stop, { once: true });
        });
      } finally {
        signal?.removeEventListener("abort", onAbort);
        clearTimeout(late);
      }
    },
  };
}
