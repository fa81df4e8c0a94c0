import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";

/** Where bytes that arrive are to go. */
export interface Landing {
  /** Bytes already in place are only hashed, and have none. */
  readonly file: FileHandle | undefined;
  /** Where in the file. */
  readonly position: number;
  /** Bytes beyond it are counted, and neither hashed nor written. */
  readonly limit: number;
  readonly algorithm: "sha256" | "md5";
}

export interface Landed {
  readonly bytes: number;
  /** As hex. */
  readonly digest: string;
}

/**
 * Takes what comes from somewhere. It is in the page cache when this resolves: it outlives this process, not the
 * machine's power.
 */
export type Receive = (landing: Landing) => Promise<Landed>;

/** A part of a local file, in the place of an upload. */
export function fromFile(source: FileHandle, start: number, length: number): Receive {
  return async ({ file, position, algorithm }) => {
    const hash = createHash(algorithm);
    let bytes = 0;
    // A stream's end is its last byte, so that it cannot be told to read nothing.
    const range = { start, end: start + length - 1, autoClose: false };
    for await (const piece of length > 0 ? source.createReadStream(range) : []) {
      const chunk = piece as Buffer;
      hash.update(chunk);
      await file?.write(chunk, 0, chunk.length, position + bytes);
      bytes += chunk.length;
    }
    return { bytes, digest: hash.digest("hex") };
  };
}
