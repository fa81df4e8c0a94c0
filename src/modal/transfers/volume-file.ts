import { type ResponseOf, unary } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";

/** A request names every block of the file, so the server may need a while. */
const TIMEOUT_MS = 120_000;

/**
 * Says which part of a file the named blocks are: the index of the first, and the file's first digest. A store that keeps
 * blocks by their content, as Modal's does, has no use for it; the GPU host puts them where they will stay.
 */
const PART_HINT = "x-mirumoji-part";

/** A file to be in a version 2 volume. */
export interface RemoteFile {
  readonly volumeId: string;
  readonly remotePath: string;
  /** False refuses to replace a file that is there, with `FILE_EXISTS`. True when left out. */
  readonly overwrite?: boolean;
}

/** A block by its digest, with the store's answer once it was sent. */
export interface NamedBlock {
  readonly contentsSha256: Uint8Array;
  readonly putResponse?: Uint8Array;
}

export type MissingBlock = ResponseOf<"volumePutFiles2">["missingBlocks"][number];

/** Description of a file's content for a volume: all of it, or a part. */
export interface NamedContent {
  readonly sizeBytes: number;
  readonly blocks: readonly NamedBlock[];
}

/** Where a part of a file is in it. */
export interface FilePart {
  /** Index of the part's first block. */
  readonly at: number;
  /** Digest of the file's first block. */
  readonly fileStart: Uint8Array;
}

/**
 * Names the blocks of a file. When the volume lacks none, it has the file from then on.
 *
 * @param options.part - which part of the file the content is; all of it when left out
 * @returns the blocks that it lacks, with URLs to send them to
 * @throws MirumojiError `VOLUME_LOST`, `FILE_EXISTS`, `MODAL_*`
 */
export async function nameBlocks(
  session: ModalSession,
  { volumeId, remotePath, overwrite = true }: RemoteFile,
  { sizeBytes: size, blocks }: NamedContent,
  options: { readonly signal: AbortSignal; readonly part?: FilePart },
): Promise<readonly MissingBlock[]> {
  const { signal, part } = options;
  const hints = part === undefined ? {} : { hints: { [PART_HINT]: hintOf(part) } };
  const { missingBlocks } = await unary(
    session,
    "volumePutFiles2",
    {
      volumeId,
      files: [{ path: remotePath, size, mode: 0o644, blocks: [...blocks] }],
      ...(overwrite ? {} : { disallowOverwriteExistingFiles: true }),
    },
    {
      signal,
      timeoutMs: TIMEOUT_MS,
      codes: { NOT_FOUND: "VOLUME_LOST", ALREADY_EXISTS: "FILE_EXISTS" },
      ...hints,
    },
  );
  return missingBlocks;
}

function hintOf({ at, fileStart }: FilePart): string {
  return `${at} ${Buffer.from(fileStart).toString("hex")}`;
}
