import { FileDescriptor } from "../enums.ts";
import { EntryIds, isLater } from "./entry-id.ts";
import { Waiters } from "./waiters.ts";

export interface LogEntry {
  readonly id: string;
  readonly at: number;
  readonly functionId: string;
  readonly callId: string;
  readonly inputId: string;
  readonly fileDescriptor: number;
  readonly text: string;
  /** Set on entries that tell how far the call is instead of what it printed. */
  readonly taskState?: number;
}

/** How many entries of an app are kept; the oldest go first. */
const KEPT_ENTRIES = 5_000;

/** Output of functions, kept in memory per app for those who follow it. */
export class Logs {
  readonly #now: () => number;
  readonly #entries = new Map<string, LogEntry[]>();
  readonly #waiters = new Waiters();
  readonly #entryIds: EntryIds;

  constructor(now: () => number) {
    this.#now = now;
    this.#entryIds = new EntryIds(now);
  }

  append(
    appId: string,
    entry: Omit<LogEntry, "id" | "at" | "fileDescriptor"> & { stream: "stdout" | "stderr" | "system" },
  ): void {
    const entries = this.#entries.get(appId) ?? [];
    this.#entries.set(appId, entries);
    const { stream, ...rest } = entry;
    const fileDescriptor = {
      stdout: FileDescriptor.STDOUT,
      stderr: FileDescriptor.STDERR,
      system: FileDescriptor.INFO,
    }[stream];
    entries.push({ ...rest, id: this.#entryIds.next(), at: this.#now(), fileDescriptor });
    if (entries.length > KEPT_ENTRIES) entries.splice(0, entries.length - KEPT_ENTRIES);
    this.#waiters.wake(appId, entry.callId);
  }

  /** The entries of an app after the one with this ID; an unknown or empty ID gives all. */
  after(appId: string, lastEntryId: string): LogEntry[] {
    const entries = this.#entries.get(appId) ?? [];
    if (lastEntryId === "") return entries;
    return entries.slice(entries.findLastIndex((entry) => !isLater(entry.id, lastEntryId)) + 1);
  }

  /**
   * Resolves when the app has something new, at the deadline, or when `signal` aborts. A follower of one call
   * of many is not woken by the others.
   */
  async changed(appId: string, callId: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
    await this.#waiters.wait(appId, timeoutMs, signal, callId);
  }

  /** Lets the app's followers look again. */
  wake(appId: string): void {
    this.#waiters.wake(appId);
  }

  forget(appId: string): void {
    this.#entries.delete(appId);
  }
}
