import { type ResponseOf, unary } from "../rpc.ts";
import type { ModalSession } from "../session.ts";

/** A request names every block of the file, so the server may need a while. */
const TIMEOUT_MS = 120_000;

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

/**
 * Names the blocks of a file. When the volume lacks none, it has the file from then on.
 *
 * @returns the blocks that it lacks, with URLs to send them to
 * @throws MirumojiError `VOLUME_LOST`, `FILE_EXISTS`, `MODAL_*`
 */
export async function nameBlocks(
  session: ModalSession,
  { volumeId, remotePath, overwrite = true }: RemoteFile,
  content: { readonly sizeBytes: number; readonly blocks: readonly NamedBlock[] },
  signal: AbortSignal,
): Promise<readonly MissingBlock[]> {
  const { sizeBytes: size, blocks } = content;
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
    },
  );
  return missingBlocks;
}
