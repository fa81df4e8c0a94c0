import type { FileHandle } from "node:fs/promises";
import { request } from "undici";
import { MirumojiError } from "../../job/errors.ts";
import { shownPlace } from "../../job/places.ts";
import type { Outbound } from "../../net/outbound.ts";

/** How long a server may stay silent after the file was sent: it may have to copy it. */
const SILENCE_MS = 300_000;

/** An output that goes to a signed URL. */
export interface UrlUpload {
  readonly url: URL;
  readonly handle: FileHandle;
  readonly bytes: number;
  readonly overwrite: boolean;
  /** Whether an earlier try has sent it already, and may not have heard of its success. */
  readonly wasSent: boolean;
  readonly signal: AbortSignal;
}

/**
 * Sends a file to a signed URL, in one request: all of it is there, or nothing.
 *
 * @throws MirumojiError `URL_NOT_ALLOWED`, `OUTPUT_EXISTS`, `OUTPUT_URL_DENIED`, `OUTPUT_WRITE_FAILED`
 */
export async function putToUrl(outbound: Outbound, upload: UrlUpload): Promise<void> {
  const shown = `output ${JSON.stringify(shownPlace(upload.url.href))}`;
  const status = await send(outbound, shown, upload);
  // Stores that know no conditions are asked without one.
  const isOdd = (status === 501 || status === 400) && !upload.overwrite;
  const last = isOdd ? await send(outbound, shown, { ...upload, overwrite: true }) : status;
  if (last >= 200 && last < 300) return;
  // Nobody else had the URL in the meantime.
  if (last === 412 && upload.wasSent) return;
  if (last === 412) {
    throw new MirumojiError(
      "OUTPUT_EXISTS",
      `${shown} is there already; name another, or say overwrite: true`,
    );
  }
  if (last >= 500 || last === 408 || last === 429) throw failed(shown, `the server answers ${last}`);
  throw new MirumojiError(
    "OUTPUT_URL_DENIED",
    `${shown}: the server answers ${last}; sign the URL for PUT, without a content type, and for longer`,
  );
}

async function send(outbound: Outbound, shown: string, upload: UrlUpload): Promise<number> {
  const { url, handle, bytes, overwrite, signal } = upload;
  outbound.check(url.href);
  try {
    const range = { start: 0, end: bytes - 1, autoClose: false };
    const { statusCode, body } = await request(url, {
      dispatcher: outbound.agent,
      method: "PUT",
      headers: { "content-length": String(bytes), ...(overwrite ? {} : { "if-none-match": "*" }) },
      body: bytes === 0 ? null : handle.createReadStream(range),
      headersTimeout: SILENCE_MS,
      bodyTimeout: SILENCE_MS,
      signal,
    });
    await body.dump();
    return statusCode;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof MirumojiError) throw error;
    throw failed(shown, error instanceof Error ? error.message : String(error), error);
  }
}

function failed(shown: string, why: string, cause?: unknown): MirumojiError {
  return new MirumojiError(
    "OUTPUT_WRITE_FAILED",
    `${shown} cannot be written now: ${why}; the result is kept`,
    {
      cause,
    },
  );
}
