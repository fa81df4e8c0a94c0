import { randomBytes } from "node:crypto";
import { orAborted } from "../abort.ts";
import type { ModalSession } from "../session.ts";
import { BLOCK_BYTES } from "./blocks.ts";
import { type NamedBlock, nameBlocks, type RemoteFile } from "./volume-file.ts";

/** Where lanes ask for the URLs of blocks that they hold; one request at a time answers all that wait. */
export interface UrlDesk {
  /**
   * Must be around the loading of every block: a request waits for those that are about to be asked for.
   * A load that gives null was past the end of the file.
   */
  loading<T>(load: () => Promise<T | null>, signal: AbortSignal): Promise<T | null>;
  /** Where to send a block that is loaded; null when the volume has it already. */
  urlFor(index: number, signal: AbortSignal): Promise<string | null>;
  /** Whether the volume turned out to have the whole file. */
  hasWholeFile(): boolean;
}

/** The file of which blocks are asked for, as far as it is known. */
interface GrowingFile extends RemoteFile {
  /** By index. */
  readonly blocks: readonly NamedBlock[];
  readonly sizeBytes: number;
  /** Infinity while nobody knows it. */
  readonly blockCount: number;
}

interface Waiting {
  readonly resolve: (url: string | null) => void;
  readonly reject: (error: unknown) => void;
}

/** The beginning of a file, as a file that lacks a block. */
function firstBlocks(file: GrowingFile, count: number): Pick<GrowingFile, "blocks" | "sizeBytes"> {
  const nobodyHasIt = { contentsSha256: new Uint8Array(randomBytes(32)) };
  return { sizeBytes: count * BLOCK_BYTES + 1, blocks: [...file.blocks.slice(0, count), nobodyHasIt] };
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
 * Asks while the file is still being read. A request names a file from its beginning, so it names all that
 * is known, and after that a block that nobody has: such a file is never complete, and no reader of the
 * volume can meet it. When all blocks are known, it names the file itself, so that a file which fits into
 * memory takes no more requests than it does with Modal's own client.
 *
 * @param askAt - how many blocks are worth a request although others are about to come
 */
export function urlDesk(session: ModalSession, file: GrowingFile, askAt: number): UrlDesk {
  const waiting = new Map<number, Waiting>();
  let loading = 0;
  let loaded = 0;
  /** All blocks before this one are loaded. */
  let known = 0;
  let isAsking = false;
  let hasWholeFile = false;

  const askIfDue = (signal: AbortSignal): void => {
    if (isAsking) return;
    while (file.blocks[known] !== undefined) known++;
    const due = [...waiting].filter(([index]) => index < known);
    const isEnding = loaded + loading >= file.blockCount;
    if (due.length === 0 || (loading > 0 && (isEnding || due.length < askAt))) return;
    isAsking = true;
    for (const [index] of due) waiting.delete(index);
    void answer(due, ask(signal)).then(() => {
      isAsking = false;
      return askIfDue(signal);
    });
  };

  const ask = async (signal: AbortSignal): Promise<Map<number, string>> => {
    const isWhole = known >= file.blockCount;
    const missing = await nameBlocks(session, file, isWhole ? file : firstBlocks(file, known), signal);
    if (isWhole) hasWholeFile = missing.length === 0;
    return new Map(missing.map(({ blockIndex, putUrl }) => [blockIndex, putUrl]));
  };

  return {
    hasWholeFile: () => hasWholeFile,
    async loading(load, signal) {
      loading++;
      try {
        const block = await load();
        if (block !== null) loaded++;
        return block;
      } finally {
        loading--;
        // Later, because this block is about to be asked for as well.
        setImmediate(() => askIfDue(signal));
      }
    },
    async urlFor(index, signal) {
      const url = new Promise<string | null>((resolve, reject) => waiting.set(index, { resolve, reject }));
      return await orAborted(url, signal);
    },
  };
}
