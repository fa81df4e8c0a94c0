/**
 * Values between CBOR (what the SDK sends) and JSON (what goes to the Python child). What JSON cannot say is
 * an object with one tag, so that both ends see the types that Modal's containers would.
 */
import { Decoder, Encoder, setSizeLimits } from "cbor-x";

// The SDK's own settings, so that both ends agree.
const options = { mapsAsObjects: true, useRecords: false, tagUint8Array: false, useTag259ForMaps: false };
const encoder = new Encoder(options);
const decoder = new Decoder(options);

/** The limits of cbor-x itself, which are one set for the whole process. */
const LIBRARY_LIMITS = { maxArraySize: 112_810_000, maxMapSize: 16_810_000 };

/** From here on CBOR integers need 64 bits, and the SDK reads those as BigInt. */
const WIDE_INTEGER = 2 ** 32;

type Tagged = Record<string, unknown>;

/** @throws Error for bytes that are not CBOR */
export function cborToTagged(data: Uint8Array): unknown {
  // An item takes a byte at least: a length that promises more would only reserve memory.
  setSizeLimits({ maxArraySize: data.length, maxMapSize: data.length });
  try {
    return tag(decoder.decode(data));
  } finally {
    setSizeLimits(LIBRARY_LIMITS);
  }
}

export function taggedToCbor(value: unknown): Uint8Array {
  return encoder.encode(untag(value));
}

function tag(value: unknown): unknown {
  if (value === undefined) return { $undefined: true };
  if (typeof value === "bigint") return { $int: String(value) };
  if (typeof value === "number") return tagNumber(value);
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString("base64") };
  if (value instanceof Date) return { $datetime: value.toISOString() };
  if (Array.isArray(value)) return value.map(tag);
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).map(([key, item]) => [key, tag(item)]);
    return { $map: entries };
  }
  return value;
}

/** A number that did not fit 32 bits travelled as a float, so Python must see a float. */
function tagNumber(value: number): unknown {
  const isInteger = Number.isInteger(value) && Math.abs(value) < WIDE_INTEGER && !Object.is(value, -0);
  return isInteger ? value : { $float: Object.is(value, -0) ? "-0.0" : String(value) };
}

function untag(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(untag);
  if (typeof value !== "object" || value === null) return value;
  const tagged = value as Tagged;
  if ("$int" in tagged) return BigInt(String(tagged["$int"]));
  if ("$float" in tagged) return Number(tagged["$float"]);
  if ("$bytes" in tagged) return Buffer.from(String(tagged["$bytes"]), "base64");
  if ("$datetime" in tagged) return new Date(String(tagged["$datetime"]));
  const entries = tagged["$map"] as [unknown, unknown][];
  return new Map(entries.map(([key, item]) => [untag(key), untag(item)]));
}
