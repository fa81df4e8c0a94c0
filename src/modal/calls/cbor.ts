import { Decoder, Encoder } from "cbor-x";
import type { CallInput } from "../../ports/calls.ts";

/** Byte strings without a typed-array tag, and plain maps: what Python's `cbor2` and the SDK agree on. */
const DIALECT = { useRecords: false, mapsAsObjects: true, tagUint8Array: false, useTag259ForMaps: false };
const encoder = new Encoder(DIALECT);
const decoder = new Decoder(DIALECT);

/**
 * A call's arguments as `[args, kwargs]` in CBOR. `undefined` would arrive as an object that is neither
 * None nor anything else, so keys that have it are left out and items become null; integers from 2^32 on
 * would arrive as floats, so they go as BigInt (`modal-wire` 1.8).
 */
export function encodeInput({ args, kwargs }: CallInput): Uint8Array {
  return encoder.encode([args.map(toWire), toWire(kwargs)]);
}

/** A result. Python integers come as BigInt from 2^32 on; those that fit become numbers again. */
export function decodeResult(bytes: Uint8Array): unknown {
  return fromWire(decoder.decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)));
}

function toWire(value: unknown): unknown {
  if (value === undefined) return null;
  if (typeof value === "number") return isWideInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map(toWire);
  if (!isPlainObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => (item === undefined ? [] : [[key, toWire(item)]])),
  );
}

function fromWire(value: unknown): unknown {
  if (typeof value === "bigint") {
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  }
  if (Array.isArray(value)) return value.map(fromWire);
  if (!isPlainObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fromWire(item)]));
}

function isWideInteger(value: number): boolean {
  return Number.isSafeInteger(value) && (value >= 2 ** 32 || value < -(2 ** 31));
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
