import { readSteadily, type RemoteSource } from "./source.ts";

/**
 * The bytes that a program was given last stay here: it asks for the next piece of a film anew, a little ahead of or behind
 * what its old connection had sent already, and that must not be a new request to the server each time.
 */
const KEPT_BYTES = 8 * 1024 * 1024;
/** Going on over a gap is quicker than asking anew. */
const SKIPPED_BYTES = 2 * 1024 * 1024;

/** A source that is read from one place on, for one reader after the other. */
export interface Window {
  /** The content from a place on, as far as the caller takes it. Throws what reading the source throws. */
  from(start: number): AsyncGenerator<Uint8Array, void>;
  close(): Promise<void>;
}

export function openWindow(source: RemoteSource, signal: AbortSignal): Window {
  let pieces: AsyncGenerator<Uint8Array, void> | null = null;
  /** Place of the next piece, and the newest pieces before it. */
  let end = 0;
  let kept: Uint8Array[] = [];
  /** The reader that was asked for last; the others are over. */
  let newest = 0;

  const restart = async (start: number): Promise<void> => {
    await pieces?.return();
    pieces = readSteadily(source, { start, signal });
    end = start;
    kept = [];
  };
  const next = async (): Promise<boolean> => {
    const got = await pieces?.next();
    if (got === undefined || got.done === true) return false;
    kept.push(got.value);
    end += got.value.length;
    for (let size = sizeOf(kept); size > KEPT_BYTES && kept.length > 1; size -= kept.shift()?.length ?? 0);
    return true;
  };
  /** Reads on until a place is kept; false at the end. */
  const reach = async (at: number): Promise<boolean> => {
    for (;;) {
      if (at < end) return true;
      if (!(await next())) return false;
    }
  };
  let turn: Promise<unknown> = Promise.resolve();
  /** One at a time: a reader that is over may still be waiting for its last piece. */
  const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
    const done = turn.then(work);
    turn = done.catch(() => undefined);
    return await done;
  };
  return {
    async *from(start) {
      newest += 1;
      const me = newest;
      for (let at = start; ;) {
        const piece = await inTurn(async () => {
          if (me !== newest) return null;
          if (pieces === null || at < end - sizeOf(kept) || at > end + SKIPPED_BYTES) await restart(at);
          return (await reach(at)) ? pieceAt(kept, end, at) : null;
        });
        if (piece === null) return;
        at += piece.length;
        yield piece;
      }
    },
    async close() {
      newest += 1;
      // A piece that never comes is ended by the signal.
      await pieces?.return();
    },
  };
}

function sizeOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}

/** The rest of the piece that holds a place. */
function pieceAt(kept: readonly Uint8Array[], end: number, at: number): Uint8Array | null {
  let from = end - sizeOf(kept);
  for (const piece of kept) {
    if (at < from + piece.length) return piece.subarray(at - from);
    from += piece.length;
  }
  return null;
}
