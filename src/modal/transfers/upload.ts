import { MirumojiError } from "../../job/errors.ts";
import type { TransferProgress } from "../../ports/volumes.ts";
import type { ModalSession } from "../rpc/session.ts";
import { type BlockPlace, placeOf } from "./block-place.ts";
import { sendBlock, UrlExpiredError } from "./block-store.ts";
import { BLOCK_BYTES, blockCount, blockLength, sameBytes } from "./blocks.ts";
import { inLanes } from "./lanes.ts";
import { openLocalInput } from "./local-input.ts";
import { type TransferMeter, transferMeter } from "./transfer-meter.ts";
import type { TransferSlot, TransferLimiter } from "./transfer-limiter.ts";
import type { UploadSource } from "./upload-source.ts";
import { IN_FILE, IN_MEMORY, putUrlBatcher } from "./put-url-batcher.ts";
import { type MissingBlock, type NamedBlock, nameBlocks, type RemoteFile } from "./volume-file.ts";
import { nameWholeFiles, namesWholeFiles, PartsRefusedError, spool } from "./whole-file.ts";

/** Rounds in a row without progress (fewer missing blocks) before the upload fails. */
const MAX_STALLED_ROUNDS = 3;

interface UploadOptions extends RemoteFile {
  readonly signal: AbortSignal;
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined;
}

/** Sends a local file, which must stay as it is meanwhile; see `uploadSource`. */
export async function uploadFile(
  session: ModalSession,
  limiter: TransferLimiter,
  options: UploadOptions & { readonly localPath: string },
): Promise<{ sizeBytes: number; sentBytes: number }> {
  const source = await openLocalInput(options.localPath, options.signal);
  try {
    return await uploadSource(session, limiter, { ...options, source });
  } finally {
    await source.close();
  }
}

/**
 * Sends a file into a version 2 volume (`modal-wire` 4.2): name blocks by their digests, send those that
 * the volume says it lacks, name all of them with the store's answers. The source is read once: loading,
 * asking and sending go on at the same time, in the memory that the slot in the limiter gives. When URLs
 * expire on the way, another round brings new ones. Safe to repeat: blocks that are there already are not
 * sent again.
 *
 * @throws MirumojiError `VOLUME_LOST`, `FILE_EXISTS`, `INPUT_*`, `TRANSFER_FAILED`, `MODAL_*`
 */
export async function uploadSource(
  session: ModalSession,
  limiter: TransferLimiter,
  options: UploadOptions & { readonly source: UploadSource },
): Promise<{ sizeBytes: number; sentBytes: number }> {
  const { source, signal } = options;
  return await limiter.run(signal, async (slot) => {
    if (source.isRepeatable || !namesWholeFiles(session)) return await sendFile(session, slot, options);
    const copy = await spool(source, slot, signal);
    try {
      return await sendFile(session, slot, { ...options, source: copy });
    } finally {
      await copy.close();
    }
  });
}

async function sendFile(
  session: ModalSession,
  slot: TransferSlot,
  options: UploadOptions & { readonly source: UploadSource },
): Promise<{ sizeBytes: number; sentBytes: number }> {
  const { source, onProgress } = options;
  const upload: Upload = {
    ...options,
    session,
    slot,
    blocks: [],
    blockCount: source.sizeBytes === null ? Number.POSITIVE_INFINITY : blockCount(source.sizeBytes),
    sizeBytes: source.sizeBytes ?? 0,
    sentBytes: 0,
    done: new Set(),
    meter: transferMeter(() => source.expectedBytes, onProgress),
  };
  const hasWholeFile = namesWholeFiles(session) ? await nameOnly(upload) : await sendOnceOrName(upload);
  await source.assertUnchanged();
  if (!hasWholeFile) await sendWhatIsMissing(upload);
  await source.assertUnchanged();
  upload.meter.finish(upload.sizeBytes);
  return { sizeBytes: upload.sizeBytes, sentBytes: upload.sentBytes };
}

/** An upload under way. */
interface Upload extends UploadOptions {
  readonly session: ModalSession;
  readonly slot: TransferSlot;
  readonly source: UploadSource;
  readonly blocks: NamedBlock[];
  blockCount: number;
  sizeBytes: number;
  sentBytes: number;
  /** Blocks that are stored, as far as the meter knows. */
  readonly done: Set<number>;
  readonly meter: TransferMeter;
}

/** Sends the source from its beginning to its end. @returns whether the volume has the file by then */
async function sendOnce(upload: Upload): Promise<boolean> {
  const { session, source, slot, signal } = upload;
  const urls = putUrlBatcher(session, upload, source.inFile === undefined ? IN_MEMORY : IN_FILE);
  const ahead = source.inFile === undefined ? slot.maxBlocks : slot.maxPlaces + IN_FILE.most;
  await inLanes(
    indexesOf(upload),
    Math.min(ahead, upload.blockCount),
    signal,
    async (index, { signal: stop }) => {
      const place = await placeOf(upload, index, stop);
      try {
        const loaded = await urls.loading(async () => {
          const found = await place.load(stop);
          if (source.sizeBytes === null) grow(upload, index, found.readBytes);
          return found.readBytes === 0 ? null : found;
        }, stop);
        if (loaded === null) return;
        const url = await urls.urlFor(index, stop);
        if (url === null) countDone(upload, index);
        else await send(upload, { index, url, place, length: loaded.storedBytes, signal: stop });
      } finally {
        place.leave();
      }
    },
  );
  return urls.hasWholeFile();
}

/** Sends the source as it is read, or only names it where the server wants whole files. */
async function sendOnceOrName(upload: Upload): Promise<boolean> {
  const { session, source, remotePath } = upload;
  try {
    return await sendOnce(upload);
  } catch (error) {
    if (!(error instanceof PartsRefusedError)) throw error;
    nameWholeFiles(session, error);
    if (source.isRepeatable) return await nameOnly(upload);
    throw new MirumojiError(
      "TRANSFER_FAILED",
      `${remotePath}: the server wants whole files; it is tried again`,
      {
        cause: error,
      },
    );
  }
}

/** Reads the source to know its digests. @returns false: the volume has not been asked yet */
async function nameOnly(upload: Upload): Promise<false> {
  const { slot, signal, blocks } = upload;
  const lanes = Math.min(slot.maxBlocks, upload.blockCount);
  await inLanes(indexesOf(upload), lanes, signal, async (index, { signal: stop }) => {
    if (blocks[index] !== undefined) return;
    const place = await placeOf(upload, index, stop);
    try {
      await place.load(stop);
    } finally {
      place.leave();
    }
  });
  return false;
}

function* indexesOf(upload: Upload): Generator<number, void> {
  for (let index = 0; index < upload.blockCount; index++) yield index;
}

/** Counts a block of a source that does not know its size; one that is not full was the last. */
function grow(upload: Upload, index: number, readBytes: number): void {
  upload.sizeBytes += readBytes;
  if (readBytes === BLOCK_BYTES) return;
  upload.blockCount = Math.min(upload.blockCount, readBytes === 0 ? index : index + 1);
}

/** The rounds: names all blocks until the volume lacks none. */
async function sendWhatIsMissing(upload: Upload): Promise<void> {
  const { session, source, slot, signal, blocks, remotePath } = upload;
  let fewestMissing = Number.POSITIVE_INFINITY;
  for (let stalledRounds = 0; ;) {
    const missing = await nameBlocks(session, upload, upload, { signal });
    if (missing.length === 0) return;
    stalledRounds = missing.length < fewestMissing ? 0 : stalledRounds + 1;
    fewestMissing = Math.min(fewestMissing, missing.length);
    if (stalledRounds >= MAX_STALLED_ROUNDS || !source.isRepeatable) {
      throw new MirumojiError(
        "TRANSFER_FAILED",
        `${remotePath}: the volume keeps missing ${missing.length} of ${blocks.length} blocks; it is tried again`,
      );
    }
    let hasExpired = false;
    await inLanes(missing, slot.maxPlaces, signal, async (lacking, { signal: stop }) => {
      if (!hasExpired) hasExpired = !(await sendAgain(upload, lacking, stop, () => !hasExpired));
    });
  }
}

/** Loads a block again and sends it. @returns false when its URL has expired */
async function sendAgain(
  upload: Upload,
  { blockIndex: index, putUrl: url }: MissingBlock,
  signal: AbortSignal,
  maySend: () => boolean,
): Promise<boolean> {
  const { source } = upload;
  const promised = upload.blocks[index];
  if (promised === undefined) {
    throw new MirumojiError("MODAL_REFUSED", `Modal VolumePutFiles2 asks for block ${index}, which is none`);
  }
  const place = await placeOf(upload, index, signal);
  try {
    const loaded = await place.load(signal);
    // The bytes sent must be those announced, or the job would work on a mixture of two files.
    if (!sameBytes(loaded.digest, promised.contentsSha256)) {
      throw source.changed(`block ${index} is not the one that was read before`);
    }
    upload.blocks[index] = promised;
    return await send(upload, { index, url, place, length: loaded.storedBytes, signal, maySend });
  } finally {
    place.leave();
  }
}

/** Sends a block and keeps the proof of it. @returns false when the URL has expired */
async function send(
  upload: Upload,
  block: {
    readonly index: number;
    readonly url: string;
    readonly place: BlockPlace;
    readonly length: number;
    readonly signal: AbortSignal;
    /** Whether it is still worth it when there is room on the line. */
    readonly maySend?: () => boolean;
  },
): Promise<boolean> {
  const { index, url, place, length, signal, maySend = () => true } = block;
  const named = upload.blocks[index];
  if (named === undefined) return false;
  const options = { what: `${upload.remotePath}, block ${index}`, signal };
  try {
    const putResponse = await upload.slot.move(length, signal, async () => {
      if (!maySend()) return null;
      return await sendBlock(url, options, async () => await place.put(url, length, signal));
    });
    if (putResponse === null) return false;
    upload.blocks[index] = { ...named, putResponse };
    upload.sentBytes += length;
    countDone(upload, index);
    return true;
  } catch (thrown) {
    if (thrown instanceof UrlExpiredError) return false;
    throw thrown;
  }
}

function countDone(upload: Upload, index: number): void {
  if (upload.done.has(index)) return;
  upload.done.add(index);
  const { source, sizeBytes } = upload;
  upload.meter.add(source.sizeBytes === null ? BLOCK_BYTES : blockLength(sizeBytes, index));
}
