import type { FileHandle } from "node:fs/promises";
import { MirumojiError } from "../../job/errors.ts";
import type { TransferProgress } from "../../ports/volumes.ts";
import { throwIfAborted } from "../rpc/abort.ts";
import { unary } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";
import { getBlock, UrlExpiredError } from "./block-store.ts";
import { blockCount, blockLength } from "./blocks.ts";
import { type DownloadSink, fileSink, memorySink } from "./download-sink.ts";
import { inLanes } from "./lanes.ts";
import { transferMeter } from "./transfer-meter.ts";
import type { TransferSlot, TransferLimiter } from "./transfer-limiter.ts";

/** Number of times one block may request new URLs. */
const MAX_REFRESHES = 3;

interface DownloadOptions {
  readonly volumeId: string;
  readonly remotePath: string;
  readonly signal: AbortSignal;
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined;
}

/**
 * Fetches a file of a volume, many blocks at a time, each written where it belongs (`modal-wire` 4.4).
 * With the digest of its content it resumes an interrupted download into the same file; the caller compares the
 * digest of the whole.
 *
 * @throws MirumojiError `VOLUME_LOST` (or the file is not there: both come as NOT_FOUND), `TRANSFER_FAILED`,
 * `TRANSFER_CORRUPT`, `DISK_FULL`, `OUTPUT_UNWRITABLE`, `MODAL_*`
 */
export async function downloadFile(
  session: ModalSession,
  limiter: TransferLimiter,
  options: DownloadOptions & { readonly into: FileHandle; readonly sha256?: string | undefined },
): Promise<{ sizeBytes: number; fetchedBytes: number }> {
  return await limiter.run(options.signal, async (slot) => {
    const sink = fileSink(options.into, slot.threads, options.remotePath, options.sha256);
    return await fetchBlocks(session, slot, sink, options);
  });
}

/**
 * Fetches a file of a volume into memory.
 *
 * @throws MirumojiError as `downloadFile`, and `FUNCTION_RESULT_INVALID` above `maxBytes`
 */
export async function downloadBytes(
  session: ModalSession,
  limiter: TransferLimiter,
  options: DownloadOptions & { readonly maxBytes: number },
): Promise<Buffer<ArrayBuffer>> {
  return await limiter.run(options.signal, async (slot) => {
    const sink = memorySink(options.maxBytes, options.remotePath);
    await fetchBlocks(session, slot, sink, options);
    return sink.bytes();
  });
}

async function fetchBlocks(
  session: ModalSession,
  slot: TransferSlot,
  sink: DownloadSink,
  options: DownloadOptions,
): Promise<{ sizeBytes: number; fetchedBytes: number }> {
  const { remotePath, signal, onProgress } = options;
  const urls = await freshUrls(session, options);
  const { sizeBytes } = urls;
  const isThere = await sink.begin(sizeBytes);
  let fetchedBytes = 0;
  const meter = transferMeter(sizeBytes, onProgress);
  const lanes = Math.min(slot.maxPlaces, blockCount(sizeBytes));
  await inLanes(Array(blockCount(sizeBytes)).keys(), lanes, signal, async (index, { signal: stop }) => {
    const length = blockLength(sizeBytes, index);
    if (isThere(index)) return meter.add(length);
    const what = `${remotePath}, block ${index}`;
    await slot.move(length, stop, async () => {
      await urls.use(index, stop, async (url) => {
        const fetch = async () => await sink.fetch(index, length, url, stop);
        await getBlock(length, fetch, { url, what, signal: stop });
      });
      await sink.keep(index);
    });
    fetchedBytes += length;
    meter.add(length);
  });
  await sink.finish();
  meter.finish();
  return { sizeBytes, fetchedBytes };
}

interface Urls {
  readonly sizeBytes: number;
  /** Uses the URL of a block, and requests a new one when it has expired. */
  use(index: number, signal: AbortSignal, fetch: (url: string) => Promise<void>): Promise<void>;
}

/** The URLs of all blocks; new ones are asked for once, however many blocks need them. */
async function freshUrls(session: ModalSession, options: DownloadOptions): Promise<Urls> {
  const first = await blockUrls(session, options);
  let current = first;
  let refreshing: Promise<BlockUrls> | undefined;
  const refresh = async (stale: BlockUrls): Promise<void> => {
    if (current !== stale) return;
    refreshing ??= blockUrls(session, options);
    try {
      current = await refreshing;
    } finally {
      refreshing = undefined;
    }
    if (current.sizeBytes !== first.sizeBytes) {
      throw new MirumojiError(
        "TRANSFER_CORRUPT",
        `${options.remotePath} had ${first.sizeBytes} bytes and now has ${current.sizeBytes}; it is tried again`,
      );
    }
  };
  return {
    sizeBytes: first.sizeBytes,
    async use(index, signal, fetch) {
      for (let refreshes = 0; ; refreshes++) {
        const used = current;
        try {
          return await fetch(used.urls[index] ?? "");
        } catch (thrown) {
          if (!(thrown instanceof UrlExpiredError) || refreshes >= MAX_REFRESHES) throw thrown;
          await refresh(used);
          throwIfAborted(signal);
        }
      }
    },
  };
}

interface BlockUrls {
  readonly sizeBytes: number;
  /** One per 8 MiB block, in order. */
  readonly urls: readonly string[];
}

async function blockUrls(
  session: ModalSession,
  { volumeId, remotePath, signal }: DownloadOptions,
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
