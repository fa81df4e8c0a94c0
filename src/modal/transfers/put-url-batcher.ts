import { randomBytes } from "node:crypto";
import { orAborted } from "../rpc/abort.ts";
import type { ModalSession } from "../rpc/session.ts";
import { type StatusName, statusOf } from "../rpc/grpc-errors.ts";
import { BLOCK_BYTES } from "./blocks.ts";
import {
  type MissingBlock,
  type NamedBlock,
  type NamedContent,
  nameBlocks,
  type RemoteFile,
} from "./volume-file.ts";
import { PartsRefusedError } from "./whole-file.ts";

/** Requests upload URLs for the blocks of all lanes, one request at a time for all waiting blocks. */
export interface PutUrlBatcher {
  /**
   * Must be around the loading of every block: a request waits for those that are about to be asked for.
   * A load that gives null was past the end of the file.
   */
  loading<T>(load: () => Promise<T | null>, signal: AbortSignal): Promise<T | null>;
  /** URL for a loaded block; null when the volume has the block already. */
  urlFor(index: number, signal: AbortSignal): Promise<string | null>;
  /** Whether the volume turned out to have the whole file. */
  hasWholeFile(): boolean;
}

/** The file being uploaded, as far as it is known. */
interface GrowingFile extends RemoteFile {
  /** By index. */
  readonly blocks: readonly NamedBlock[];
  readonly sizeBytes: number;
  /** Infinity while it is unknown. */
  readonly blockCount: number;
}

/** How many loaded blocks are worth a request: at first, and at most. Each request takes four times as many. */
interface BatchSizes {
  readonly first: number;
  readonly most: number;
}

/** The first blocks of a file are sent soon; later ones are hashed faster than they are sent. */
export const IN_FILE: BatchSizes = { first: 8, most: 64 };
/** Blocks in memory wait in it. */
export const IN_MEMORY: BatchSizes = { first: 2, most: 2 };
const GROWTH = 4;
/** Requests at once: the next one does not wait for the round trip of the one before. */
const MOST_ASKING = 4;

interface Waiting {
  readonly resolve: (url: string | null) => void;
  readonly reject: (error: unknown) => void;
}

/** Answers of a server that does not take files as we name them. */
const REFUSALS: ReadonlySet<StatusName | undefined> = new Set(["INVALID_ARGUMENT", "FAILED_PRECONDITION"]);

/** Describes some blocks of a file as a file that lacks one more block. */
function partOf(file: GrowingFile, start: number, end: number): NamedContent {
  const nobodyHasIt = { contentsSha256: new Uint8Array(randomBytes(32)) };
  return {
    sizeBytes: (end - start) * BLOCK_BYTES + 1,
    blocks: [...file.blocks.slice(start, end), nobodyHasIt],
  };
}

function urlsFrom(first: number, missing: readonly MissingBlock[]): Map<number, string> {
  return new Map(missing.map(({ blockIndex, putUrl }) => [first + blockIndex, putUrl]));
}

async function answer(
  asked: readonly (readonly [number, Waiting])[],
  asking: Promise<ReadonlyMap<number, string>>,
): Promise<void> {
  try {
    const urls = await asking;
    for (const [index, { resolve }] of asked) resolve(urls.get(index) ?? null);
  } catch (error) {
    for (const [, { reject }] of asked) reject(error);
  }
}

/**
 * Asks while the file is still being read. A request names the blocks that wait, as if they were a file, and after
 * them a block that nobody has: such a file is never complete, and no reader of the volume can meet it. It costs the
 * same at the end of a large file as at its beginning. When all blocks of the file wait, a request names the file itself,
 * so that one which fits into memory takes no more requests than it does with Modal's own client.
 */
export function putUrlBatcher(session: ModalSession, file: GrowingFile, sizes: BatchSizes): PutUrlBatcher {
  const waiting = new Map<number, Waiting>();
  let loading = 0;
  /** All blocks before this one are loaded. */
  let known = 0;
  let asking = 0;
  let askAt = sizes.first;
  let hasWholeFile = false;

  const askIfDue = (signal: AbortSignal): void => {
    if (asking >= MOST_ASKING) return;
    while (file.blocks[known] !== undefined) known++;
    const due = [...waiting].filter(([index]) => index < known);
    if (due.length === 0 || (loading > 0 && due.length < askAt)) return;
    asking++;
    askAt = Math.min(sizes.most, askAt * GROWTH);
    for (const [index] of due) waiting.delete(index);
    const first = Math.min(...due.map(([index]) => index));
    void answer(due, ask(first, signal)).then(() => {
      asking--;
      return askIfDue(signal);
    });
  };

  const ask = async (from: number, signal: AbortSignal): Promise<Map<number, string>> => {
    const [start] = file.blocks;
    if (start !== undefined && (from > 0 || known < file.blockCount)) {
      const part = { at: from, fileStart: start.contentsSha256 };
      const missing = await nameBlocks(session, file, partOf(file, from, known), { signal, part }).catch(
        (error: unknown) => {
          throw REFUSALS.has(statusOf(error)) ? new PartsRefusedError(String(error)) : error;
        },
      );
      return urlsFrom(from, missing);
    }
    const missing = await nameBlocks(session, file, file, { signal });
    hasWholeFile = missing.length === 0;
    return urlsFrom(0, missing);
  };

  return {
    hasWholeFile: () => hasWholeFile,
    async loading(load, signal) {
      loading++;
      try {
        return await load();
      } finally {
        loading--;
        // Deferred, because this block is about to be requested as well.
        setImmediate(() => askIfDue(signal));
      }
    },
    async urlFor(index, signal) {
      const url = new Promise<string | null>((resolve, reject) => waiting.set(index, { resolve, reject }));
      if (waiting.size >= askAt) askIfDue(signal);
      return await orAborted(url, signal);
    },
  };
}
