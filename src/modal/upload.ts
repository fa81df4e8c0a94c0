import { MirumojiError } from "../job/errors.ts";
import type { TransferProgress } from "../steps/ports.ts";
import { orAborted, throwIfAborted } from "./abort.ts";
import { putBlock, UrlExpiredError } from "./block-store.ts";
import { BLOCK_BYTES, blockCount, blockLength, sameBytes, sha256, withoutTrailingZeros } from "./blocks.ts";
import { inLanes, laneBuffers } from "./lanes.ts";
import { type LocalInput, openLocalInput } from "./local-input.ts";
import { type ResponseOf, unary } from "./rpc.ts";
import type { ModalSession } from "./session.ts";
import { transferMeter } from "./transfer-meter.ts";

/** Blocks in flight; each costs its buffer and the copy that `fetch` makes of it, 16 MiB in all. */
const LANES = 8;
const HASH_LANES = 4;
/** Rounds in a row that may pass without the number of missing blocks going down. */
const MAX_STALLED_ROUNDS = 3;
/** A request names every block of the file, so the server may need a while. */
const PUT_FILES_TIMEOUT_MS = 120_000;

type MissingBlock = ResponseOf<"volumePutFiles2">["missingBlocks"][number];

/**
 * Sends a file into a version 2 volume, the way the Python SDK does (`modal-wire` 4.2): name the digests
 * of all blocks, send the blocks that the volume says it lacks, name them again with the store's
 * answers. When URLs expire on the way, another round brings new ones. Safe to repeat: blocks that are
 * there already are not sent again.
 *
 * @throws MirumojiError `VOLUME_LOST`, `FILE_EXISTS`, `INPUT_*`, `TRANSFER_FAILED`, `MODAL_*`
 */
export async function uploadFile(
  session: ModalSession,
  options: {
    readonly volumeId: string;
    readonly remotePath: string;
    readonly localPath: string;
    /** False refuses to replace a file that is there, with `FILE_EXISTS`. True when left out. */
    readonly overwrite?: boolean;
    readonly signal: AbortSignal;
    readonly onProgress?: ((progress: TransferProgress) => void) | undefined;
  },
): Promise<{ sizeBytes: number; sentBytes: number }> {
  const { signal } = options;
  throwIfAborted(signal);
  const input = await openLocalInput(options.localPath);
  try {
    const digests = await digestBlocks(input, signal);
    await input.assertUnchanged();
    const sentBytes = await storeBlocks(session, options, input, digests);
    await input.assertUnchanged();
    return { sizeBytes: input.sizeBytes, sentBytes };
  } finally {
    await input.close();
  }
}

async function digestBlocks(input: LocalInput, signal: AbortSignal): Promise<Uint8Array[]> {
  const digests: Uint8Array[] = [];
  const buffer = laneBuffers(BLOCK_BYTES);
  const indexes = Array.from({ length: blockCount(input.sizeBytes) }, (_, index) => index);
  await inLanes(indexes, HASH_LANES, signal, async (index, { lane }) => {
    const block = await input.readBlock(index, buffer(lane));
    digests[index] = await sha256(withoutTrailingZeros(block));
  });
  return digests;
}

/** The rounds. @returns how many bytes were really sent */
async function storeBlocks(
  session: ModalSession,
  {
    volumeId,
    remotePath,
    overwrite = true,
    signal,
    onProgress,
  }: {
    readonly volumeId: string;
    readonly remotePath: string;
    readonly overwrite?: boolean;
    readonly signal: AbortSignal;
    readonly onProgress?: ((progress: TransferProgress) => void) | undefined;
  },
  input: LocalInput,
  digests: readonly Uint8Array[],
): Promise<number> {
  const putResponses = new Map<number, Uint8Array>();
  const counted = new Set<number>();
  const meter = transferMeter(input.sizeBytes, onProgress);
  const count = (index: number): void => {
    if (counted.has(index)) return;
    counted.add(index);
    meter.add(blockLength(input.sizeBytes, index));
  };
  let sentBytes = 0;
  let fewestMissing = Number.POSITIVE_INFINITY;
  for (let stalledRounds = 0; ;) {
    const { missingBlocks } = await unary(
      session,
      "volumePutFiles2",
      {
        volumeId,
        files: [
          {
            path: remotePath,
            size: input.sizeBytes,
            mode: 0o644,
            blocks: digests.map((contentsSha256, index) => {
              const putResponse = putResponses.get(index);
              return putResponse === undefined ? { contentsSha256 } : { contentsSha256, putResponse };
            }),
          },
        ],
        ...(overwrite ? {} : { disallowOverwriteExistingFiles: true }),
      },
      {
        signal,
        timeoutMs: PUT_FILES_TIMEOUT_MS,
        codes: { NOT_FOUND: "VOLUME_LOST", ALREADY_EXISTS: "FILE_EXISTS" },
      },
    );
    const missing = new Set(missingBlocks.map(({ blockIndex }) => blockIndex));
    for (const index of digests.keys()) if (!missing.has(index)) count(index);
    if (missing.size === 0) break;
    stalledRounds = missing.size < fewestMissing ? 0 : stalledRounds + 1;
    fewestMissing = Math.min(fewestMissing, missing.size);
    if (stalledRounds >= MAX_STALLED_ROUNDS) {
      throw new MirumojiError(
        "TRANSFER_FAILED",
        `${remotePath}: the volume keeps missing ${missing.size} of ${digests.length} blocks; it is tried again`,
      );
    }
    sentBytes += await sendBlocks(input, { missingBlocks, digests, putResponses, count, remotePath, signal });
  }
  meter.finish();
  return sentBytes;
}

/** One round of block transfers; ends early, without an error, when a URL has expired. */
async function sendBlocks(
  input: LocalInput,
  round: {
    readonly missingBlocks: readonly MissingBlock[];
    readonly digests: readonly Uint8Array[];
    readonly putResponses: Map<number, Uint8Array>;
    readonly count: (index: number) => void;
    readonly remotePath: string;
    readonly signal: AbortSignal;
  },
): Promise<number> {
  let sentBytes = 0;
  let expired = false;
  const buffer = laneBuffers(BLOCK_BYTES);
  await inLanes(round.missingBlocks, LANES, round.signal, async (missing, { lane, signal }) => {
    if (expired) return;
    const index = missing.blockIndex;
    const digest = round.digests[index];
    if (digest === undefined) {
      throw new MirumojiError(
        "MODAL_REFUSED",
        `Modal VolumePutFiles2 asks for block ${index}, which is none`,
      );
    }
    const bytes = withoutTrailingZeros(await input.readBlock(index, buffer(lane)));
    // What goes out is what was promised, or the job would work on a mixture of two files.
    if (!sameBytes(await orAborted(sha256(bytes), signal), digest)) {
      throw input.changed(`block ${index} is not the one that was read before`);
    }
    try {
      const what = `${round.remotePath}, block ${index}`;
      round.putResponses.set(index, await putBlock(missing.putUrl, bytes, { what, signal }));
      sentBytes += bytes.length;
      round.count(index);
    } catch (thrown) {
      if (!(thrown instanceof UrlExpiredError)) throw thrown;
      expired = true;
    }
  });
  return sentBytes;
}
