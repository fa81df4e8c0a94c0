import { type ErrorCode, MirumojiError, toMirumojiError } from "../../job/errors.ts";
import { retry } from "../rpc/retry.ts";
import { CorruptError, type FetchedBlock, type StoreAnswer } from "./block-worker.ts";
import { announcedDigest, sameBytes, sha256 } from "./blocks.ts";
import { type Answer, exchange, StaleConnectionError } from "./http-exchange.ts";

/** Tries of one block on one URL, with pauses of up to 0.5, 1, 2, 4 and 8 seconds between them. */
const TRIES = 6;
const FIRST_BACKOFF_MS = 500;
const LONGEST_BACKOFF_MS = 10_000;
/** Longest proof that a store may give for a block. */
const LONGEST_PROOF_BYTES = 1024 * 1024;

/** Statuses by which an object store refuses an invalid or expired presigned URL. */
const EXPIRED = new Set([401, 403, 404, 410]);

/** Statuses by which an object store asks to slow down. */
const SLOW_DOWN = new Set([429, 503]);

/** Refusal of an expired presigned URL; the caller requests a new one. */
export class UrlExpiredError extends MirumojiError {
  constructor(what: string, status: number) {
    super("TRANSFER_FAILED", `${what}: the block store answers ${status}, and so it does on new URLs`);
  }
}

/** Failure to reach the block store, which is not where the control plane is. */
export class StoreUnreachableError extends MirumojiError {
  /** Such as `https://bucket.example`, or empty; a URL is a secret. */
  readonly origin: string;

  constructor(url: string, what: string, cause: unknown) {
    const words = toMirumojiError(cause).message;
    super("MODAL_UNAVAILABLE", `${what}: the block store cannot be reached: ${words}; it is tried again`, {
      cause,
    });
    this.origin = URL.canParse(url) ? new URL(url).origin : "";
  }
}

interface BlockOptions {
  /** Description of the block, for messages. */
  readonly what: string;
  readonly signal: AbortSignal;
}

/**
 * Sends one block and gives what the store answered, the proof for `VolumePutFiles2`. URLs
 * are presigned by the object store: they get no header of ours, and stay out of messages.
 *
 * @param put - sends it once
 * @throws MirumojiError `MODAL_UNAVAILABLE`, `MODAL_THROTTLED`, `TRANSFER_FAILED` after some tries, or at once as `UrlExpiredError`
 */
export async function sendBlock(
  url: string,
  options: BlockOptions,
  put: () => Promise<StoreAnswer>,
): Promise<Uint8Array> {
  return await withTries(url, options, async () => {
    const answer = await put();
    assertOk(options.what, answer);
    return answer.body;
  });
}

/** Sends bytes from this thread, as `sendBlock`. */
export async function putBlock(
  url: string,
  bytes: Uint8Array,
  options: BlockOptions & { readonly headers?: Readonly<Record<string, string>> },
): Promise<Uint8Array> {
  const { what, signal } = options;
  const headers = { ...options.headers, "content-length": bytes.length };
  return await sendBlock(url, options, async () => {
    const proof = collector(LONGEST_PROOF_BYTES, what);
    const { status } = await exchange(url, {
      method: "PUT",
      headers,
      body: bytes,
      onBody: proof.add,
      signal,
    });
    return { status, body: status < 300 ? proof.bytes() : new Uint8Array() };
  });
}

/**
 * Fetches one block of `length` bytes. A body that is shorter is only right when trailing zeros were left out; we
 * never ask for that (`client_pads_blocks`), so it is believed only with a digest that proves it was meant.
 *
 * @param fetch - fetches it once
 * @throws MirumojiError `MODAL_UNAVAILABLE`, `MODAL_THROTTLED`, `TRANSFER_FAILED` or `TRANSFER_CORRUPT` after some tries, or at once as `UrlExpiredError`;
 * the reason of a `FinalError` that `fetch` throws
 */
export async function getBlock(
  length: number,
  fetch: () => Promise<FetchedBlock>,
  { url, ...options }: BlockOptions & { readonly url: string },
): Promise<void> {
  const { what } = options;
  await withTries(url, options, async () => {
    const block = await fetch();
    assertOk(what, block);
    if (block.isProven === false) throw wrongDigest(what);
    if (block.isProven === undefined && block.storedBytes < length) {
      throw retryable("TRANSFER_CORRUPT", what, `${block.storedBytes} bytes came instead of ${length}`);
    }
  });
}

/** Fetches one block into memory, once. Rejects with node's own errors, and `CorruptError`. */
export async function fetchIntoMemory(
  url: string,
  into: Uint8Array<ArrayBuffer>,
  signal: AbortSignal,
): Promise<FetchedBlock> {
  let storedBytes = 0;
  const onBody = (piece: Buffer): void => {
    if (storedBytes + piece.length > into.length) {
      throw new CorruptError(`more bytes came than ${into.length}`);
    }
    into.set(piece, storedBytes);
    storedBytes += piece.length;
  };
  const answer = await exchange(url, { method: "GET", onBody, signal });
  into.fill(0, storedBytes);
  const digest = announcedDigest(answer.headers["repr-digest"]);
  const isProven = digest && sameBytes(await sha256(into.subarray(0, storedBytes)), digest);
  return { status: answer.status, storedBytes, isProven };
}

/**
 * Fetches a whole object of unknown length into memory.
 *
 * @throws MirumojiError `MODAL_UNAVAILABLE`, `MODAL_THROTTLED`, `TRANSFER_FAILED` or `TRANSFER_CORRUPT` after some tries
 */
export async function getWhole(
  url: string,
  options: BlockOptions & { readonly maxBytes: number },
): Promise<Uint8Array> {
  const { what, signal, maxBytes } = options;
  return await withTries(url, options, async () => {
    const body = collector(maxBytes, what);
    const answer = await exchange(url, { method: "GET", onBody: body.add, signal });
    assertOk(what, answer);
    const bytes = body.bytes();
    const digest = announcedDigest(answer.headers["repr-digest"]);
    if (digest !== undefined && !sameBytes(await sha256(bytes), digest)) throw wrongDigest(what);
    return bytes;
  });
}

/** Error that has nothing to do with the store, so the block is not tried again. */
export class FinalError extends Error {
  readonly reason: unknown;

  constructor(reason: unknown) {
    super("the block could not be kept");
    this.reason = reason;
  }
}

async function withTries<T>(
  url: string,
  { what, signal }: BlockOptions,
  attempt: () => Promise<T>,
): Promise<T> {
  const once = async (): Promise<T> => {
    try {
      return await overFreshConnection(attempt, signal);
    } catch (thrown) {
      if (thrown instanceof FinalError || thrown instanceof MirumojiError) throw thrown;
      if (thrown instanceof CorruptError) throw retryable("TRANSFER_CORRUPT", what, thrown.message, thrown);
      throw new StoreUnreachableError(url, what, thrown);
    }
  };
  try {
    return await retry(once, {
      signal,
      tries: TRIES,
      firstMs: FIRST_BACKOFF_MS,
      longestMs: LONGEST_BACKOFF_MS,
      isTransient: (error) => !(error instanceof FinalError || error instanceof UrlExpiredError),
    });
  } catch (thrown) {
    throw thrown instanceof FinalError ? thrown.reason : thrown;
  }
}

/** Runs a try without counting stale connections: other kept ones may be stale too, but each fails only once. */
async function overFreshConnection<T>(attempt: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (thrown) {
      if (!(thrown instanceof StaleConnectionError) || signal.aborted) throw thrown;
    }
  }
}

function assertOk(what: string, { status }: Pick<Answer, "status">): void {
  if (status >= 200 && status < 300) return;
  if (EXPIRED.has(status)) throw new UrlExpiredError(what, status);
  const code = SLOW_DOWN.has(status) ? "MODAL_THROTTLED" : "TRANSFER_FAILED";
  throw retryable(code, what, `the block store answers ${status}`);
}

function wrongDigest(what: string): MirumojiError {
  return retryable("TRANSFER_CORRUPT", what, "the bytes do not have the digest that came with them");
}

function retryable(code: ErrorCode, what: string, why: string, cause?: unknown): MirumojiError {
  return new MirumojiError(code, `${what}: ${why}; it is tried again`, { cause });
}

function collector(
  maxBytes: number,
  what: string,
): { add: (piece: Buffer) => void; bytes: () => Uint8Array } {
  const pieces: Buffer[] = [];
  let length = 0;
  return {
    add(piece) {
      length += piece.length;
      if (length > maxBytes) {
        throw retryable("TRANSFER_CORRUPT", what, `the answer has more than ${maxBytes} bytes`);
      }
      pieces.push(piece);
    },
    bytes: () => new Uint8Array(Buffer.concat(pieces)),
  };
}
