import { createHash } from "node:crypto";
import { MirumojiError } from "../../job/errors.ts";
import type { TransferProgress } from "../../ports/volumes.ts";
import { backoffMs, sleep } from "../rpc/abort.ts";
import { BLOCK_BYTES, blockCount } from "./blocks.ts";
import { type LocalInput, openLocalInput } from "./local-input.ts";
import { putWhole } from "./put-whole.ts";
import { unary } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";
import { transferMeter } from "./transfer-meter.ts";

/** Smaller files travel inside the request (`modal-wire` 4.3). */
const INLINE_BYTES = 4 * 1024 * 1024;
/** Looks at whether the server has taken the content in, with pauses of up to ten seconds. */
const MAX_LOOKS = 20;
const TIMEOUT_MS = 120_000;

/**
 * Sends a file into a version 1 volume, the way the Python SDK does (`modal-wire` 4.3): the whole content
 * by its digest, then the name. Content that the server has already is not sent again.
 *
 * @throws MirumojiError `VOLUME_LOST`, `FILE_EXISTS`, `INPUT_*`, `TRANSFER_FAILED`, `MODAL_*`
 */
export async function uploadFileV1(
  session: ModalSession,
  options: {
    readonly volumeId: string;
    readonly remotePath: string;
    readonly localPath: string;
    readonly overwrite: boolean;
    readonly signal: AbortSignal;
    readonly onProgress?: (progress: TransferProgress) => void;
  },
): Promise<{ sizeBytes: number }> {
  const { volumeId, remotePath, localPath, overwrite, signal, onProgress } = options;
  const input = await openLocalInput(localPath);
  try {
    const meter = transferMeter(input.sizeBytes, onProgress);
    const digests = await digestsOf(input, signal);
    await input.assertUnchanged();
    await storeContent(session, { input, localPath, digests, signal, onBytes: (bytes) => meter.add(bytes) });
    await input.assertUnchanged();
    await unary(
      session,
      "volumePutFiles",
      {
        volumeId,
        files: [{ filename: remotePath, sha256Hex: digests.sha256.toString("hex"), mode: 0o644 }],
        disallowOverwriteExistingFiles: !overwrite,
      },
      {
        signal,
        timeoutMs: TIMEOUT_MS,
        codes: { NOT_FOUND: "VOLUME_LOST", ALREADY_EXISTS: "FILE_EXISTS" },
      },
    );
    meter.finish();
    return { sizeBytes: input.sizeBytes };
  } finally {
    await input.close();
  }
}

interface Content {
  readonly input: LocalInput;
  readonly localPath: string;
  readonly digests: { readonly sha256: Buffer; readonly md5: Buffer };
  readonly signal: AbortSignal;
  readonly onBytes: (bytes: number) => void;
}

/** Makes sure that the server has the content under its digest. */
async function storeContent(session: ModalSession, content: Content): Promise<void> {
  const { input, digests, signal } = content;
  const sha256Hex = digests.sha256.toString("hex");
  const exists = async (data: { data?: Uint8Array; dataBlobId?: string }) =>
    (await unary(session, "mountPutFile", { sha256Hex, ...data }, { signal, timeoutMs: TIMEOUT_MS })).exists;
  if (await exists({})) return;
  const data =
    input.sizeBytes < INLINE_BYTES
      ? { data: await input.readBlock(0, Buffer.alloc(input.sizeBytes)) }
      : { dataBlobId: await putContentBlob(session, content) };
  for (let looks = 1; !(await exists(data)); looks++) {
    if (looks >= MAX_LOOKS) {
      throw new MirumojiError("TRANSFER_FAILED", `${content.localPath}: the server does not take it in`);
    }
    await sleep(backoffMs(looks, 500, 10_000), signal);
  }
}

async function putContentBlob(session: ModalSession, content: Content): Promise<string> {
  const { input, localPath, digests, signal, onBytes } = content;
  const answer = await unary(
    session,
    "blobCreate",
    {
      contentMd5: digests.md5.toString("base64"),
      contentSha256Base64: digests.sha256.toString("base64"),
      contentLength: input.sizeBytes,
    },
    { signal },
  );
  const url = answer.uploadUrl ?? answer.uploadUrls?.items[0];
  const blobId = answer.blobId || answer.blobIds[0];
  if (url === undefined || url === "" || blobId === undefined) {
    throw new MirumojiError(
      "MODAL_REFUSED",
      `${localPath}: Modal wants ${input.sizeBytes} bytes for a version 1 volume in several parts, which is not done ` +
        "here; use a version 2 volume, or the `modal` command of the Python SDK",
    );
  }
  await putWhole(url, { localPath, sizeBytes: input.sizeBytes, md5: digests.md5, signal, onBytes });
  return blobId;
}

async function digestsOf(input: LocalInput, signal: AbortSignal): Promise<{ sha256: Buffer; md5: Buffer }> {
  const sha256 = createHash("sha256");
  const md5 = createHash("md5");
  const buffer = Buffer.allocUnsafeSlow(Math.min(BLOCK_BYTES, input.sizeBytes));
  for (let index = 0; index < blockCount(input.sizeBytes); index++) {
    signal.throwIfAborted();
    const block = await input.readBlock(index, buffer);
    sha256.update(block);
    md5.update(block);
  }
  return { sha256: sha256.digest(), md5: md5.digest() };
}
