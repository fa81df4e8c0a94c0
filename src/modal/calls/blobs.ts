import { createHash } from "node:crypto";
import { MirumojiError } from "../../job/errors.ts";
import { getWhole, putBlock } from "../transfers/block-store.ts";
import { sha256 } from "../transfers/blocks.ts";
import { unary } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";

/**
 * Stores arguments that are too large to go inline. Servers answer in the singular or the plural fields
 * of `BlobCreateResponse`; uploads in several parts are only asked for far above what arguments are.
 *
 * @throws MirumojiError `TRANSFER_FAILED`, `MODAL_*`
 */
export async function putBlob(
  session: ModalSession,
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<{ blobId: string }> {
  const md5 = createHash("md5").update(bytes).digest("base64");
  const answer = await unary(
    session,
    "blobCreate",
    {
      contentMd5: md5,
      contentSha256Base64: Buffer.from(await sha256(bytes)).toString("base64"),
      contentLength: bytes.length,
    },
    { signal },
  );
  const url = answer.uploadUrl ?? answer.uploadUrls?.items[0];
  const blobId = answer.blobId || answer.blobIds[0];
  if (url === undefined || url === "" || blobId === undefined) {
    throw new MirumojiError(
      "MODAL_REFUSED",
      `Modal BlobCreate: ${bytes.length} bytes of arguments are to be sent in several parts; make them smaller`,
    );
  }
  await putBlock(url, bytes, {
    what: `arguments of ${bytes.length} bytes`,
    signal,
    headers: { "content-md5": md5, "content-type": "application/octet-stream" },
  });
  return { blobId };
}

/** A result is a description of files; the files themselves are in the volume. */
const LONGEST_RESULT_BYTES = 256 * 1024 * 1024;

/** Fetches a result that was too large to come inline. */
export async function getBlob(
  session: ModalSession,
  blobId: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const { downloadUrl } = await unary(
    session,
    "blobGet",
    { blobId },
    { signal, codes: { NOT_FOUND: "CALL_LOST" } },
  );
  return await getWhole(downloadUrl, { what: `result ${blobId}`, signal, maxBytes: LONGEST_RESULT_BYTES });
}
