import { type ErrorCode, MirumojiError, toMirumojiError } from "../job/errors.ts";
import { abortError, backoffMs, sleep } from "./abort.ts";
import { sameBytes, sha256 } from "./blocks.ts";

/** Tries of one block on one URL, with pauses of up to 0.5, 1, 2, 4 and 8 seconds between them. */
const TRIES = 6;
const FIRST_BACKOFF_MS = 500;
const LONGEST_BACKOFF_MS = 10_000;
/** One try of one block; undici's own limit for headers and body is the same. */
const TRY_TIMEOUT_MS = 300_000;

/** Answers by which an object store says that a presigned URL is no good (any more). */
const EXPIRED = new Set([401, 403, 404, 410]);

/** A presigned URL that is no good any more; the caller asks for a new one. */
export class UrlExpiredError extends MirumojiError {
  constructor(what: string, status: number) {
    super("TRANSFER_FAILED", `${what}: the block store answers ${status}, and so it does on new URLs`);
  }
}

/**
 * Sends the bytes of one block and gives what the store answered, the proof for `VolumePutFiles2`. URLs
 * are presigned by the object store: they get no header of ours, and stay out of messages.
 *
 * @throws MirumojiError `TRANSFER_FAILED` after some tries, or at once as `UrlExpiredError`
 */
export async function putBlock(
  url: string,
  bytes: Uint8Array,
  options: { readonly what: string; readonly signal: AbortSignal; readonly headers?: Record<string, string> },
): Promise<Uint8Array> {
  return await withTries(options, async (signal) => {
    const response = await fetch(url, {
      method: "PUT",
      body: bytes as Uint8Array<ArrayBuffer>,
      signal,
      ...(options.headers === undefined ? {} : { headers: options.headers }),
    });
    const answer = new Uint8Array(await response.arrayBuffer());
    assertOk(options.what, response);
    return answer;
  });
}

/**
 * Fetches the stored bytes of one block and checks them. A body that is shorter than the block is only
 * right when trailing zeros were left out; we never ask for that (`client_pads_blocks`), so it is
 * believed only with a digest that proves it was meant, and is an interrupted answer otherwise.
 *
 * @param lengthBytes - the block's length; undefined where nobody told it (blobs)
 * @returns the bytes; what is missing up to `lengthBytes` are zeros
 * @throws MirumojiError `TRANSFER_FAILED` or `TRANSFER_CORRUPT` after some tries, or at once as `UrlExpiredError`
 */
export async function getBlock(
  url: string,
  lengthBytes: number | undefined,
  options: { readonly what: string; readonly signal: AbortSignal },
): Promise<Uint8Array> {
  return await withTries(options, async (signal) => {
    const response = await fetch(url, { signal });
    assertOk(options.what, response);
    const bytes = new Uint8Array(await response.arrayBuffer());
    const digest = sha256Of(response.headers.get("repr-digest"));
    if (digest !== undefined && !sameBytes(await sha256(bytes), digest)) {
      throw failed("TRANSFER_CORRUPT", options.what, "the bytes do not have the digest that came with them");
    }
    if (lengthBytes === undefined) return bytes;
    if (bytes.length > lengthBytes || (bytes.length < lengthBytes && digest === undefined)) {
      throw failed("TRANSFER_CORRUPT", options.what, `${bytes.length} bytes came instead of ${lengthBytes}`);
    }
    return bytes;
  });
}

async function withTries<T>(
  { what, signal }: { readonly what: string; readonly signal: AbortSignal },
  attempt: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt(AbortSignal.any([signal, AbortSignal.timeout(TRY_TIMEOUT_MS)]));
    } catch (thrown) {
      if (signal.aborted) throw abortError(signal);
      const error = thrown instanceof MirumojiError ? thrown : networkError(what, thrown);
      if (error instanceof UrlExpiredError || tries >= TRIES) throw error;
      await sleep(backoffMs(tries, FIRST_BACKOFF_MS, LONGEST_BACKOFF_MS), signal);
    }
  }
}

function assertOk(what: string, { ok, status }: Response): void {
  if (ok) return;
  if (EXPIRED.has(status)) throw new UrlExpiredError(what, status);
  throw failed("TRANSFER_FAILED", what, `the block store answers ${status}`);
}

/** `fetch` puts the reason, such as ECONNRESET, into the cause of a `TypeError: fetch failed`. */
function networkError(what: string, thrown: unknown): MirumojiError {
  const inner = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause : thrown;
  return failed("TRANSFER_FAILED", what, toMirumojiError(inner).message, thrown);
}

function failed(code: ErrorCode, what: string, why: string, cause?: unknown): MirumojiError {
  return new MirumojiError(code, `${what}: ${why}; it is tried again`, { cause });
}

/** The SHA-256 in a `Repr-Digest` header (RFC 9530: `sha-256=:<base64>:`), if there is one. */
function sha256Of(header: string | null): Uint8Array | undefined {
  const base64 = header?.match(/(?:^|[,\s])sha-256=:([A-Za-z0-9+/=]+):/)?.[1];
  return base64 === undefined ? undefined : Buffer.from(base64, "base64");
}
