import { createReadStream } from "node:fs";
import { request as requestHttp, type IncomingMessage } from "node:http";
import { request as requestHttps } from "node:https";
import { once } from "node:events";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { MirumojiError, toMirumojiError } from "../../job/errors.ts";
import { abortError, backoffMs, sleep } from "../rpc/abort.ts";

const TRIES = 4;

/**
 * Sends a whole file to a presigned URL as one body of known length (`fetch` would send a stream in
 * chunks, which object stores refuse) and compares the digest that the store answers with.
 *
 * @throws MirumojiError `TRANSFER_FAILED`, `TRANSFER_CORRUPT` after some tries
 */
export async function putWhole(
  url: string,
  file: {
    readonly localPath: string;
    readonly sizeBytes: number;
    readonly md5: Buffer;
    readonly signal: AbortSignal;
    /** Called with the bytes that went out; never with more than the file has. */
    readonly onBytes: (bytes: number) => void;
  },
): Promise<void> {
  let reported = 0;
  for (let tries = 1; ; tries++) {
    let sent = 0;
    try {
      await putOnce(url, file, (bytes) => {
        sent += bytes;
        if (sent > reported) file.onBytes(sent - reported);
        reported = Math.max(reported, sent);
      });
      return;
    } catch (thrown) {
      if (file.signal.aborted) throw abortError(file.signal);
      if (tries >= TRIES) {
        if (thrown instanceof MirumojiError) throw thrown;
        throw new MirumojiError("TRANSFER_FAILED", `${file.localPath}: ${toMirumojiError(thrown).message}`, {
          cause: thrown,
        });
      }
      await sleep(backoffMs(tries, 500, 10_000), file.signal);
    }
  }
}

async function putOnce(
  url: string,
  file: Parameters<typeof putWhole>[1],
  onBytes: (bytes: number) => void,
): Promise<void> {
  const { localPath, sizeBytes, md5, signal } = file;
  const send = url.startsWith("https:") ? requestHttps : requestHttp;
  const request = send(url, {
    method: "PUT",
    signal,
    headers: {
      "content-length": sizeBytes,
      "content-md5": md5.toString("base64"),
      "content-type": "application/octet-stream",
    },
  });
  const answered = once(request, "response") as Promise<[IncomingMessage]>;
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      onBytes(chunk.length);
      done(null, chunk);
    },
  });
  const body = pipeline(createReadStream(localPath, { end: sizeBytes - 1 }), meter, request);
  // A store that refuses closes its side before it has read everything; its answer says more.
  body.catch(() => undefined);
  const [response] = await answered;
  response.resume();
  const { statusCode = 0, headers } = response;
  if (statusCode >= 300) {
    throw new MirumojiError("TRANSFER_FAILED", `${localPath}: the blob store answers ${statusCode}`);
  }
  const etag = headers.etag?.replaceAll('"', "") ?? "";
  if (/^[0-9a-f]{32}$/.test(etag) && etag !== md5.toString("hex")) {
    throw new MirumojiError(
      "TRANSFER_CORRUPT",
      `${localPath}: the blob store has other bytes than were sent`,
    );
  }
  await body;
}
