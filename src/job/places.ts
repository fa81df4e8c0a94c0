import { MirumojiError } from "./errors.ts";

/** An input or output that is not in the media root. */
export type Place =
  | { readonly kind: "url"; readonly url: URL }
  /** An object of an S3 store; the operator gave its connection a name. */
  | { readonly kind: "object"; readonly connection: string; readonly bucket: string; readonly key: string };

const SCHEME = /^(?:https?|s3):\/\//iu;
const OBJECT = /^s3:\/\/([\w-]{1,64})\/([a-z0-9][a-z0-9.-]{1,62})\/([^\0]*[^\0/])$/iu;
const LONGEST_KEY_BYTES = 1024;
const LONGEST_NAME_BYTES = 200;

/** Whether a path of a request names something outside the media root. */
export function isElsewhere(text: string): boolean {
  return SCHEME.test(text);
}

/**
 * Reads a URL or `s3://connection/bucket/key`.
 *
 * @throws MirumojiError `REQUEST_INVALID`
 */
export function placeOf(text: string, field: string): Place {
  const refused = (why: string): MirumojiError =>
    new MirumojiError(
      "REQUEST_INVALID",
      `${field} ${JSON.stringify(shownPlace(text).slice(0, 200))}: ${why}`,
    );
  if (/^s3:/iu.test(text)) {
    const [, connection, bucket, key] = OBJECT.exec(text) ?? [];
    if (connection === undefined || bucket === undefined || key === undefined) {
      throw refused("write s3://connection/bucket/key");
    }
    if (new TextEncoder().encode(key).length > LONGEST_KEY_BYTES) throw refused("the key is too long");
    return { kind: "object", connection, bucket, key };
  }
  if (!URL.canParse(text)) throw refused("this is no URL");
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") {
    throw refused("a request must not hold a name or a password; sign the URL, or use a connection (s3://)");
  }
  return { kind: "url", url };
}

/** The place without what opens it: the query of a signed URL is a secret. Other text stays as it is. */
export function shownPlace(text: string): string {
  if (!/^https?:\/\//iu.test(text)) return text;
  const [place = ""] = text.split(/[?#]/u, 1);
  const shown = place.replace(/^([a-z]+:\/\/)[^/]*@/iu, "$1");
  return place.length === text.length ? shown : `${shown}?[hidden]`;
}

/** The data of a request with its places as they are shown; anything else as it is. */
export function withShownPlaces(data: unknown): unknown {
  if (typeof data !== "object" || data === null || Array.isArray(data)) return data;
  return Object.fromEntries(
    Object.entries(data).map(([name, value]) => [
      name,
      (name === "input" || name === "output") && typeof value === "string" ? shownPlace(value) : value,
    ]),
  );
}

/** The last part of a path, a URL or a key, never empty. Of a URL it is fit for a file's name. */
export function fileNameOf(text: string): string {
  const [path = ""] = /^https?:\/\//iu.test(text)
    ? text.replace(/^[a-z]+:\/\/[^/?#]*/iu, "").split(/[?#]/u, 1)
    : [text];
  const last =
    path
      .split("/")
      .filter((part) => part !== "" && part !== ".")
      .at(-1) ?? "input";
  return isElsewhere(text) ? fileName(last) : last;
}

function fileName(part: string): string {
  let name = part;
  try {
    name = decodeURIComponent(part);
  } catch {
    // Not every server's URLs are encoded as they should be.
  }
  // oxlint-disable-next-line no-control-regex -- these are what is taken out
  const plain = name.replace(/[\u0000-\u001f\u007f/\\]/gu, "_").replace(/^\.+/u, "");
  const cut = new TextEncoder().encode(plain).subarray(0, LONGEST_NAME_BYTES);
  const short = new TextDecoder().decode(cut).replace(/\uFFFD+$/u, "");
  return short === "" ? "input" : short;
}
