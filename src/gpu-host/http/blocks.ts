import { type FileHandle, open } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { z } from "zod";
import type { BlockBehaviour } from "../faults.ts";
import type { Services } from "../services.ts";
import { BLOCK_BYTES } from "../store/blocks.ts";
import { lengthWithoutTrailingZeros, sendRange } from "../store/send-range.ts";
import { BlockRefused } from "../store/staging.ts";
import { isMissing } from "../store/uploads.ts";
import { breakOff, BrokenOff, corruptFirstByte, failByStatus } from "./block-faults.ts";
import { HttpError } from "./http-error.ts";
import { type Exchange, type Route, sendText } from "./server.ts";

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

  async function put({ request, response, token }: Exchange): Promise<void> {
    const fault = faults.block("PUT");
    failByStatus(fault);
    const block = claimsOf(putClaims, token);
    const { volumeId, digest } = block;
    const announced = request.headers["content-length"];
    if (announced === undefined) throw new HttpError(411, "Content-Length is needed");
    if (Number(announced) > BLOCK_BYTES) throw new HttpError(413, `A block has at most ${BLOCK_BYTES} bytes`);
    requireVolume(volumeId);
    if (fault === "drop") return void request.socket.destroy();
    const source = disturbed(request, fault, Number(announced));
    try {
      await uploads.receive({ ...block, source });
    } catch (error) {
      if (error instanceof BlockRefused) throw new HttpError(400, error.message);
      if (isMissing(error)) throw new HttpError(404, "The upload is over, or its volume gone");
      if (error instanceof BrokenOff) return void request.socket.destroy();
      throw error;
    }
    sendText(response, 200, signer.sign({ kind: "put-response", volumeId, digest }, PUT_RESPONSE_TTL_MS));
  }

  async function get({ request, response, token }: Exchange): Promise<void> {
    const fault = faults.block("GET");
    failByStatus(fault);
    if (fault === "drop") return void request.socket.destroy();
    const claims = claimsOf(getClaims, token);
    await using file = await openUnchanged(claims);
    const { offset: start, length } = claims;
    const sent =
      fault === "short"
        ? Math.floor(length / 2)
        : claims.pads && fault === undefined
          ? await lengthWithoutTrailingZeros(file, { start, length })
          : length;
    response.writeHead(200, { "Content-Type": "application/octet-stream", "Content-Length": sent });
    const disturb = fault === "wrong-bytes" ? corruptFirstByte : undefined;
    await sendRange(file, { start, length: sent }, response, disturb);
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

function disturbed(
  request: IncomingMessage,
  fault: BlockBehaviour | undefined,
  length: number,
): AsyncIterable<Buffer> {
  if (fault === "wrong-bytes") return corruptFirstByte(request);
  return fault === "short" ? breakOff(request, Math.floor(length / 2)) : request;
}
