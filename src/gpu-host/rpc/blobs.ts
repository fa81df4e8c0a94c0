import type { Services } from "../services.ts";
import type { Handlers } from "../wire.ts";

const URL_TTL_MS = 60 * 60 * 1000;

export function blobRpcs({ blobs, signer, httpUrl }: Services): Handlers<"blobCreate" | "blobGet"> {
  return {
    async blobCreate({ contentMd5, contentLength }, context) {
      const id = blobs.reserve();
      const token = signer.sign({ kind: "blob-put", id, md5: contentMd5, length: contentLength }, URL_TTL_MS);
      const url = `${httpUrl(context)}/blob/${token}`;
      // One SDK reads the singular fields, the other the plural ones.
      return { blobId: id, uploadUrl: url, blobIds: [id], uploadUrls: { items: [url] } };
    },

    async blobGet({ blobId }, context) {
      await blobs.sizeBytes(blobId);
      const token = signer.sign({ kind: "blob-get", id: blobId }, URL_TTL_MS);
      return { downloadUrl: `${httpUrl(context)}/blob/${token}` };
    },
  };
}
