import { fileThreads } from "../config/file-threads.ts";
import { MirumojiError } from "../job/errors.ts";

/** How long file work may take, and how long it waits for other work that does not return. */
const PATIENCE_MS = 30_000;

/** File work of a job. */
export interface FileWork {
  /** Path below the media root. Folders right below the root may be mounts of their own. */
  readonly path: string;
  readonly signal: AbortSignal;
  /** Whether it takes time in proportion to the size of a file, so that only the signal ends it. */
  readonly isLong?: boolean;
}

/**
 * Runs file work that a hung mount may never let return: at most so much at a time that threads are left for everything
 * else, half of it below one folder, and no longer than its job wants it. Work that is given up goes on by itself; `late`
 * gets its result.
 *
 * @throws MirumojiError `STORAGE_UNAVAILABLE` when it takes too long; the reason of the signal
 */
export type StorageGate = <T>(
  about: FileWork,
  work: () => Promise<T>,
  late?: (result: T) => Promise<void>,
) => Promise<T>;

export function storageGate({
  slots = Math.max(2, Math.floor(fileThreads() / 2)),
  patienceMs = PATIENCE_MS,
}: { readonly slots?: number; readonly patienceMs?: number } = {}): StorageGate {
  const perFolder = Math.max(1, Math.floor(slots / 2));
  const running = new Map<string, number>();
  const waiting = new Set<{ readonly folder: string; admit(): void }>();
  let free = slots;
  const take = (folder: string): boolean => {
    const mine = running.get(folder) ?? 0;
    if (free === 0 || mine >= perFolder) return false;
    free -= 1;
    running.set(folder, mine + 1);
    return true;
  };
  const giveBack = (folder: string): void => {
    free += 1;
    running.set(folder, (running.get(folder) ?? 1) - 1);
    for (const one of waiting) if (take(one.folder)) one.admit();
  };
  const enter = async (folder: string, signal: AbortSignal): Promise<void> => {
    if (take(folder)) return;
    let leave = (): void => {};
    const admitted = new Promise<void>((resolve) => {
      const one = { folder, admit: () => (leave(), resolve()) };
      leave = () => waiting.delete(one);
      waiting.add(one);
    });
    try {
      await inTime(admitted, folder, signal, patienceMs);
    } finally {
      leave();
    }
  };
  return async ({ path, signal, isLong = false }, work, late) => {
    signal.throwIfAborted();
    const folder = folderOf(path);
    await enter(folder, signal);
    const done = work().finally(() => giveBack(folder));
    if (isLong) return await unlessAborted(signal, done, late);
    return await inTime(done, folder, signal, patienceMs, late);
  };
}

/** Name of the folder right below the media root that a path leads through; files of the root itself share one. */
function folderOf(path: string): string {
  const [first = "", ...rest] = path.split("/").filter((part) => part !== "" && part !== ".");
  return rest.length === 0 ? "." : first;
}

async function inTime<T>(
  work: Promise<T>,
  folder: string,
  signal: AbortSignal,
  ms: number,
  late?: (result: T) => Promise<void>,
): Promise<T> {
  const limit = new AbortController();
  const follow = (): void => limit.abort(reasonOf(signal));
  if (signal.aborted) follow();
  else signal.addEventListener("abort", follow, { once: true });
  const timer = setTimeout(() => limit.abort(stuck(folder, ms)), ms);
  try {
    return await unlessAborted(limit.signal, work, late);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", follow);
  }
}

/** Waits for work no longer than until the signal aborts. */
export async function unlessAborted<T>(
  signal: AbortSignal,
  work: Promise<T>,
  late?: (result: T) => Promise<void>,
): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const onAbort = (): void => {
      reject(reasonOf(signal));
      work.then(late).catch(() => undefined);
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

function reasonOf(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  return reason instanceof Error ? reason : new Error(String(reason));
}

function stuck(folder: string, ms: number): MirumojiError {
  const where = folder === "." ? "the media root" : JSON.stringify(folder);
  return new MirumojiError(
    "STORAGE_UNAVAILABLE",
    `files in ${where} have not answered for ${ms / 1000} s; check the mount; the job waits for it`,
  );
}
