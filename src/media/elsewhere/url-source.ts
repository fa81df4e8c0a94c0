import { request, type Dispatcher } from "undici";
import { VERSION } from "../../config/version.ts";
import { MirumojiError } from "../../job/errors.ts";
import type { InputIdentity } from "../../job/facts.ts";
import { differenceOf } from "../../job/input-identity.ts";
import { shownPlace } from "../../job/places.ts";
import type { Outbound } from "../../net/outbound.ts";
import { refuseStatus, refuseType, unreachable } from "./url-errors.ts";
import { changedInput, type RemoteSource } from "./source.ts";

const MOST_REDIRECTS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** How long a server may stay silent. */
const SILENCE_MS = 30_000;

type Answer = Dispatcher.ResponseData;

/**
 * Asks a URL for its first byte: a signed URL is often good for GET alone.
 *
 * @throws MirumojiError `URL_NOT_ALLOWED`, `INPUT_URL_NOT_FOUND`, `INPUT_URL_DENIED`, `INPUT_URL_NOT_MEDIA`,
 * `INPUT_URL_REDIRECTS`, `INPUT_URL_UNREACHABLE`, `INPUT_EMPTY`
 */
export async function openUrl(
  url: URL,
  { outbound, signal }: { readonly outbound: Outbound; readonly signal: AbortSignal },
): Promise<RemoteSource> {
  const shown = `input ${JSON.stringify(shownPlace(url.href))}`;
  const ask = follower(url, outbound, shown);
  const { statusCode, headers, body } = await ask({ range: "bytes=0-0" }, signal);
  discard(body);
  if (statusCode === 416)
    throw new MirumojiError("INPUT_EMPTY", `${shown} is empty; check how it was written`);
  refuseStatus(shown, statusCode);
  refuseType(shown, text(headers["content-type"]), text(headers["content-encoding"]));
  const total = statusCode === 206 ? rangeOf(headers).total : null;
  const sizeBytes = total ?? (statusCode === 200 ? lengthOf(headers) : null);
  if (sizeBytes === 0) throw new MirumojiError("INPUT_EMPTY", `${shown} is empty; check how it was written`);
  const identity = { ...identityOf(headers), sizeBytes };
  const hasRanges = total !== null;
  const read: RemoteSource["read"] = async (start, until) => {
    const whole = start === 0 || !hasRanges;
    const answer = await ask(whole ? {} : { range: `bytes=${start}-`, ...unlessChanged(identity) }, until);
    try {
      refuseStatus(shown, answer.statusCode);
      const got = rangeOf(answer.headers);
      const isPart = answer.statusCode === 206;
      const size = isPart ? got.total : lengthOf(answer.headers);
      const why = differenceOf(identity, { ...identityOf(answer.headers), sizeBytes: size });
      if (why !== null) throw changedInput(shown, why);
      if (isPart && got.start !== start) {
        throw unreachable(shown, `it answers from byte ${got.start}, not from ${start} on`);
      }
      return following(answer.body, isPart ? 0 : start, shown, until);
    } catch (error) {
      discard(answer.body);
      throw error;
    }
  };
  return { shown, identity, hasRanges, read };
}

/** Sends requests to where the URL leads; every place on the way is checked. */
function follower(url: URL, outbound: Outbound, shown: string) {
  /** Where it led the last time; asked first. */
  let known = url;
  const once = async (from: URL, headers: Record<string, string>, signal: AbortSignal): Promise<Answer> => {
    let at = from;
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
      const answer = await send(outbound, at, headers, { shown, signal });
      if (!REDIRECTS.has(answer.statusCode)) {
        if (answer.statusCode < 300) known = at;
        return answer;
      }
      discard(answer.body);
      const location = text(answer.headers["location"]) ?? "";
      if (!URL.canParse(location, at.href)) {
        throw new MirumojiError("INPUT_URL_REDIRECTS", `${shown} leads to nowhere; give the URL of the file`);
      }
      at = outbound.check(new URL(location, at).href);
    }
    throw new MirumojiError(
      "INPUT_URL_REDIRECTS",
      `${shown} leads on more than ${MOST_REDIRECTS} times; give the URL it leads to`,
    );
  };
  return async (headers: Record<string, string>, signal: AbortSignal): Promise<Answer> => {
    const answer = await once(known, headers, signal);
    // The place that a redirect leads to may be good for a moment only.
    const isOver = answer.statusCode >= 400 && answer.statusCode < 500 && answer.statusCode !== 416;
    if (!isOver || known === url) return answer;
    discard(answer.body);
    return await once(url, headers, signal);
  };
}

async function send(
  outbound: Outbound,
  url: URL,
  headers: Record<string, string>,
  { shown, signal }: { shown: string; signal: AbortSignal },
): Promise<Answer> {
  outbound.check(url.href);
  try {
    return await request(url, {
      dispatcher: outbound.agent,
      headers: { "accept-encoding": "identity", "user-agent": `mirumoji-worker/${VERSION}`, ...headers },
      headersTimeout: SILENCE_MS,
      bodyTimeout: SILENCE_MS,
      signal,
    });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof MirumojiError) throw error;
    throw unreachable(shown, error instanceof Error ? error.message : String(error), error);
  }
}

/** The content after its first `skip` bytes. */
async function* following(
  body: Answer["body"],
  skip: number,
  shown: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void> {
  let left = skip;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      if (left >= chunk.length) left -= chunk.length;
      else {
        yield left === 0 ? chunk : chunk.subarray(left);
        left = 0;
      }
    }
  } catch (error) {
    signal.throwIfAborted();
    throw unreachable(shown, error instanceof Error ? error.message : String(error), error);
  } finally {
    discard(body);
  }
}

function discard(body: Answer["body"]): void {
  body.on("error", () => {});
  body.destroy();
}

type Headers = Answer["headers"];

function text(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

function identityOf(headers: Headers): Omit<InputIdentity, "sizeBytes"> {
  const etag = text(headers["etag"]);
  const modified = text(headers["last-modified"]);
  return {
    // A weak one says nothing about bytes.
    ...(etag === undefined || etag.startsWith("W/") ? {} : { etag }),
    ...(modified === undefined ? {} : { modified }),
  };
}

function unlessChanged({ etag, modified }: InputIdentity): Record<string, string> {
  const known = etag ?? modified;
  return known === undefined ? {} : { "if-range": known };
}

function lengthOf(headers: Headers): number | null {
  const length = text(headers["content-length"]);
  return length !== undefined && /^\d{1,15}$/u.test(length) ? Number(length) : null;
}

function rangeOf(headers: Headers): { start: number | null; total: number | null } {
  const [, start, total] =
    /^bytes (\d{1,15})-\d+\/(\d{1,15}|\*)$/u.exec(text(headers["content-range"]) ?? "") ?? [];
  return {
    start: start === undefined ? null : Number(start),
    total: total === undefined || total === "*" ? null : Number(total),
  };
}
