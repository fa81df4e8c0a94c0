import type { FileHandle } from "node:fs/promises";
import { MirumojiError } from "../job/errors.ts";
import type { TransferProgress } from "../steps/ports.ts";
import { throwIfAborted } from "./abort.ts";
import { getBlock, UrlExpiredError } from "./block-store.ts";
import { BLOCK_BYTES, blockCount, blockLength } from "./blocks.ts";
import { inLanes } from "./lanes.ts";
import { unary } from "./rpc.ts";
import type { ModalSession } from "./session.ts";
import { transferMeter } from "./transfer-meter.ts";

/** Blocks in flight; each is 8 MiB of memory. */
const LANES = 8;
/** How often one block may ask for new URLs. */
const MAX_REFRESHES = 3;

/**
 * Fetches a file of a volume, many blocks at a time, each written where it belongs (`modal-wire` 4.4).
 * The size of the local file is set first, so bytes that are not written are zeros.
 *
 * @throws MirumojiError `VOLUME_LOST` (or the file is not there: both come as NOT_FOUND), `TRANSFER_FAILED`,
 * `TRANSFER_CORRUPT`, `DISK_FULL`, `OUTPUT_UNWRITABLE`, `MODAL_*`
 */
export async function downloadFile(
  session: ModalSession,
  options: {
    readonly volumeId: string;
    readonly remotePath: string;
    readonly into: FileHandle;
    readonly signal: AbortSignal;
    readonly onProgress?: ((progress: TransferProgress) => void) | undefined;
  },
): Promise<{ sizeBytes: number }> {
  const { remotePath, into, signal, onProgress } = options;
  const first = await blockUrls(session, options);
  const { sizeBytes } = first;
  await written(remotePath, async () => {
    await into.truncate(0);
    await into.truncate(sizeBytes);
  });
  let current = first;
  let refreshing: Promise<BlockUrls> | undefined;
  /** New URLs for everybody, asked for once however many blocks need them. */
  const refresh = async (stale: BlockUrls): Promise<void> => {
    if (current !== stale) return;
    refreshing ??= blockUrls(session, options);
    try {
      current = await refreshing;
    } finally {
      refreshing = undefined;
    }
    if (current.sizeBytes !== sizeBytes) {
      throw new MirumojiError(
        "TRANSFER_CORRUPT",
        `${remotePath} had ${sizeBytes} bytes and now has ${current.sizeBytes}; it is tried again`,
      );
    }
  };
  const meter = transferMeter(sizeBytes, onProgress);
  await inLanes(first.urls.keys(), LANES, signal, async (index, { signal: laneSignal }) => {
    const length = blockLength(sizeBytes, index);
    const what = `${remotePath}, block ${index}`;
    for (let refreshes = 0; ; refreshes++) {
      const used = current;
      try {
        const bytes = await getBlock(used.urls[index] ?? "", length, { what, signal: laneSignal });
        await written(remotePath, async () => await writeFully(into, bytes, index * BLOCK_BYTES));
        break;
      } catch (thrown) {
        if (!(thrown instanceof UrlExpiredError) || refreshes >= MAX_REFRESHES) throw thrown;
        await refresh(used);
        throwIfAborted(laneSignal);
      }
    }
    meter.add(length);
  });
  meter.finish();
  return { sizeBytes };
}

interface BlockUrls {
  readonly sizeBytes: number;
  /** One per 8 MiB block, in order. */
  readonly urls: readonly string[];
}

async function blockUrls(
  session: ModalSession,
  {
    volumeId,
    remotePath,
    signal,
  }: { readonly volumeId: string; readonly remotePath: string; readonly signal: AbortSignal },
): Promise<BlockUrls> {
  const answer = await unary(
    session,
    "volumeGetFile2",
    { volumeId, path: remotePath },
    { signal, codes: { NOT_FOUND: "VOLUME_LOST" } },
  );
  if (answer.len !== answer.size || answer.getUrls.length !== blockCount(answer.size)) {
    throw new MirumojiError(
      "TRANSFER_CORRUPT",
      `${remotePath}: the volume offers ${answer.len} of ${answer.size} bytes in ${answer.getUrls.length} blocks; ` +
        "it is tried again",
    );
  }
  return { sizeBytes: answer.size, urls: answer.getUrls };
}

async function writeFully(into: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await into.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

async function written(remotePath: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new MirumojiError(
      code === "ENOSPC" || code === "EDQUOT" ? "DISK_FULL" : "OUTPUT_UNWRITABLE",
      `${remotePath} cannot be saved: ${message}`,
      { cause },
    );
  }
}
