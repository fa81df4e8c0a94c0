import { type FileHandle, open } from "node:fs/promises";
import { z } from "zod";
import type { BlockBehaviour } from "../faults.ts";
import type { Services } from "../services.ts";
import { BLOCK_BYTES } from "../store/blocks.ts";
import { BlockRefused } from "../store/staging.ts";
import { lengthWithoutTrailingZeros } from "../store/trailing-zeros.ts";
import { isMissing } from "../store/uploads.ts";
import type { Exchange } from "./front.ts";
import { HttpError } from "./http-error.ts";
import { type Route, sendText } from "./server.ts";

/** A put response is good for as long as an upload may be interrupted. */
const PUT_RESPONSE_TTL_MS = 24 * 60 * 60 * 1000;

const putClaims = z.object({
  kind: z.literal("put"),
  volumeId: z.string(),
  uploadId: z.string(),
  index: z.number(),
  lengthBytes: z.number(),
  digest: z.string(),
});

const getClaims = z.object({
  kind: z.literal("get"),
  volumeId: z.string(),
  path: z.string(),
  offset: z.number(),
  length: z.number(),
  inode: z.number(),
  mtimeMs: z.number(),
  pads: z.boolean(),
});

/** Blocks of version 2 volumes, under the signed URLs that the RPCs hand out. */
export function blockRoutes(services: Services): Route[] {
  const { signer, uploads, volumes, faults } = services;

  function claimsOf<Schema extends z.ZodType>(schema: Schema, token: string): z.infer<Schema> {
    const claims = schema.safeParse(signer.open(token));
    if (!claims.success) throw new HttpError(403, "The URL is wrong or has expired");
    return claims.data;
  }

  async function put(exchange: Exchange, token: string): Promise<void> {
    const fault = faults.block("PUT");
    failByStatus(fault);
    const block = claimsOf(putClaims, token);
    const { volumeId, digest } = block;
    const { "content-length": announced } = exchange.headers;
    if (announced === undefined) throw new HttpError(411, "Content-Length is needed");
    if (Number(announced) > BLOCK_BYTES) throw new HttpError(413, `A block has at most ${BLOCK_BYTES} bytes`);
    requireVolume(volumeId);
    if (fault === "drop") return await exchange.drop();
    const disturbance = {
      flips: fault === "wrong-bytes",
      ...(fault === "short" ? { cutAfter: Math.floor(Number(announced) / 2) } : {}),
    };
    try {
      await uploads.receive(block, async (landing) => await exchange.receive(landing, disturbance));
    } catch (error) {
      if (error instanceof BlockRefused) throw new HttpError(400, error.message);
      if (isMissing(error)) throw new HttpError(404, "The upload is over, or its volume gone");
      throw error;
    }
    const proof = signer.sign({ kind: "put-response", volumeId, digest }, PUT_RESPONSE_TTL_MS);
    await sendText(exchange, 200, proof);
  }

  async function get(exchange: Exchange, token: string): Promise<void> {
    const fault = faults.block("GET");
    failByStatus(fault);
    if (fault === "drop") return await exchange.drop();
    const claims = claimsOf(getClaims, token);
    await using file = await openUnchanged(claims);
    const { offset: start, length } = claims;
    const sent =
      fault === "short"
        ? Math.floor(length / 2)
        : claims.pads && fault === undefined
          ? await lengthWithoutTrailingZeros(file, { start, length })
          : length;
    await exchange.send(file, { start, length: sent }, { flips: fault === "wrong-bytes" });
  }

  function requireVolume(volumeId: string): void {
    try {
      volumes.get(volumeId);
    } catch {
      throw new HttpError(404, "The volume is gone");
    }
  }

  async function openUnchanged(claims: z.infer<typeof getClaims>): Promise<FileHandle> {
    requireVolume(claims.volumeId);
    const file = await open(volumes.directory(claims.volumeId).file(claims.path)).catch((error: unknown) => {
      throw isMissing(error) ? new HttpError(404, "The file is gone") : error;
    });
    const { ino, mtimeMs } = await file.stat();
    if (ino === claims.inode && mtimeMs === claims.mtimeMs) return file;
    await file.close();
    throw new HttpError(410, "Another file has taken this one's place");
  }

  return [
    { method: "PUT", path: "/block", private: false, handle: put },
    { method: "GET", path: "/block", private: false, handle: get },
  ];
}

/** Answers a block request with the status that a test ordered. */
function failByStatus(fault: BlockBehaviour | undefined): void {
  const status = Number(fault);
  if (status > 0) throw new HttpError(status, `Ordered fault ${status}`);
}
