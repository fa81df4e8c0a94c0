import { z } from "zod";
import type { Services } from "../services.ts";
import { BlobRefused } from "../store/blobs.ts";
import { HttpError } from "./http-error.ts";
import type { Exchange } from "./front.ts";
import type { Route } from "./server.ts";

const putClaims = z.object({ kind: z.literal("blob-put"), id: z.string(), length: z.number() });
const getClaims = z.object({ kind: z.literal("blob-get"), id: z.string() });

/** Big arguments, results and version 1 files, under signed URLs. */
export function blobRoutes({ blobs, signer }: Services): Route[] {
  async function put(exchange: Exchange, token: string): Promise<void> {
    const claims = putClaims.safeParse(signer.open(token)).data;
    if (claims === undefined) throw new HttpError(403, "The URL is wrong or has expired");
    const { "content-length": length, "content-md5": expectedMd5 } = exchange.headers;
    if (Number(length) !== claims.length) {
      throw new HttpError(400, `The blob was announced with ${claims.length} bytes`);
    }
    try {
      const md5 = await blobs.receive(
        claims.id,
        async (landing) => await exchange.receive(landing),
        expectedMd5 as string | undefined,
      );
      await exchange.answer(200, "", { ETag: `"${md5}"` });
    } catch (error) {
      throw error instanceof BlobRefused ? new HttpError(400, error.message) : error;
    }
  }

  async function get(exchange: Exchange, token: string): Promise<void> {
    const claims = getClaims.safeParse(signer.open(token)).data;
    if (claims === undefined) throw new HttpError(403, "The URL is wrong or has expired");
    await using file = await blobs.open(claims.id).catch(() => {
      throw new HttpError(404, "The blob is gone");
    });
    await exchange.send(file, { start: 0, length: (await file.stat()).size });
  }

  return [
    { method: "PUT", path: "/blob", private: false, handle: put },
    { method: "GET", path: "/blob", private: false, handle: get },
  ];
}
