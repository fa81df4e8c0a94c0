import { createHash } from "node:crypto";
import { MirumojiError } from "../../job/errors.ts";
import { getWhole, putBlock } from "../transfers/block-store.ts";
import { sha256 } from "../transfers/blocks.ts";
import { type ResponseOf, unary } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";

/**
 * Stores arguments that are too large to go inline. The server offers one object store or several; the next one is
 * tried when a store fails, as Modal's own client does. Uploads in several parts are only asked for far above what
 * arguments are.
 *
 * @throws MirumojiError `TRANSFER_FAILED` of the last store, `MODAL_*`
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
  const places = placesOf(answer);
  for (const [index, { url, blobId }] of places.entries()) {
    try {
      await putBlock(url, bytes, {
        what: `arguments of ${bytes.length} bytes`,
        signal,
        headers: { "content-md5": md5, "content-type": "application/octet-stream" },
      });
      return { blobId };
    } catch (error) {
      if (signal.aborted || index === places.length - 1) throw error;
    }
  }
  throw new MirumojiError(
    "MODAL_REFUSED",
    `Modal BlobCreate: ${bytes.length} bytes of arguments are to be sent in several parts; make them smaller`,
  );
}

/** The URLs to try, in order, each with the ID that the blob has then. Servers fill the plural or the singular fields. */
function placesOf(answer: ResponseOf<"blobCreate">): { readonly url: string; readonly blobId: string }[] {
  const urls = answer.uploadUrls?.items ?? [];
  if (urls.length > 0 && urls.length === answer.blobIds.length) {
    return urls.map((url, index) => ({ url, blobId: answer.blobIds[index] ?? "" }));
  }
  const [url, blobId] = [answer.uploadUrl || urls[0], answer.blobId || answer.blobIds[0]];
  return url && blobId ? [{ url, blobId }] : [];
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
