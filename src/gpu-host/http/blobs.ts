import { z } from "zod";
import type { Services } from "../services.ts";
import { BlobRefused } from "../store/blobs.ts";
import { sendRange } from "../store/send-range.ts";
import { HttpError } from "./http-error.ts";
import { type Exchange, type Route, sendText } from "./server.ts";

const putClaims = z.object({ kind: z.literal("blob-put"), id: z.string(), length: z.number() });
const getClaims = z.object({ kind: z.literal("blob-get"), id: z.string() });

/** Big arguments, results and version 1 files, under signed URLs. */
export function blobRoutes({ blobs, signer }: Services): Route[] {
  async function put({ request, response, token }: Exchange): Promise<void> {
    const claims = putClaims.safeParse(signer.open(token)).data;
    if (claims === undefined) throw new HttpError(403, "The URL is wrong or has expired");
    if (Number(request.headers["content-length"]) !== claims.length) {
      throw new HttpError(400, `The blob was announced with ${claims.length} bytes`);
    }
    try {
      const md5 = await blobs.receive(
        claims.id,
        request,
        request.headers["content-md5"] as string | undefined,
      );
      response.setHeader("ETag", `"${md5}"`);
      sendText(response, 200, "");
    } catch (error) {
      throw error instanceof BlobRefused ? new HttpError(400, error.message) : error;
    }
  }

  async function get({ response, token }: Exchange): Promise<void> {
    const claims = getClaims.safeParse(signer.open(token)).data;
    if (claims === undefined) throw new HttpError(403, "The URL is wrong or has expired");
    await using file = await blobs.open(claims.id).catch(() => {
      throw new HttpError(404, "The blob is gone");
    });
    const { size: length } = await file.stat();
    response.writeHead(200, { "Content-Type": "application/octet-stream", "Content-Length": length });
    await sendRange(file, { start: 0, length }, response);
  }

  return [
    { method: "PUT", path: "/blob", private: false, handle: put },
    { method: "GET", path: "/blob", private: false, handle: get },
  ];
}
