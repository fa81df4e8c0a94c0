import { decode, encode } from "cbor-x";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeResult, encodeInput } from "../../../src/modal/calls/cbor.ts";

/** The bytes of one encoded argument, in hexadecimal. */
function hexOf(value: unknown): string {
  const whole = Buffer.from(encodeInput({ args: [value], kwargs: {} })).toString("hex");
  // [[value], {}]; cbor-x gives every map a two byte length.
  expect(whole.startsWith("8281") && whole.endsWith("b90000")).toBe(true);
  return whole.slice(4, -6);
}

describe("arguments", () => {
  test.each([
    ["the largest 32 bit integer", 2 ** 32 - 1, "1affffffff"],
    ["2^32 as an integer, not a float", 2 ** 32, "1b0000000100000000"],
    ["the size of a 40 GiB file", 40 * 1024 ** 3, "1b0000000a00000000"],
    ["the smallest 32 bit integer", -(2 ** 31), "3a7fffffff"],
    ["one below it", -(2 ** 31) - 1, "3b0000000080000000"],
    ["the largest safe integer", Number.MAX_SAFE_INTEGER, "1b001fffffffffffff"],
    ["null", null, "f6"],
    ["undefined as null", undefined, "f6"],
    ["true", true, "f5"],
    ["text outside ASCII", "日", "63e697a5"],
    ["bytes without a tag", new Uint8Array([1, 2]), "420102"],
    ["a Buffer without a tag", Buffer.from([1, 2]), "420102"],
    ["an empty object", {}, "b90000"],
    ["an empty list", [], "80"],
  ])("%s", (_, value, hex) => {
    expect(hexOf(value)).toBe(hex);
  });

  test("a half stays a float", () => {
    expect(decode(Buffer.from(hexOf(1.5), "hex"))).toBe(1.5);
  });

  test("undefined keys are left out at every depth, and nulls stay", () => {
    const encoded = encodeInput({
      args: [],
      kwargs: { a: undefined, b: null, c: { d: undefined, e: [{ f: undefined, g: 1 }] } },
    });
    expect(decode(encoded)).toEqual([[], { b: null, c: { e: [{ g: 1 }] } }]);
  });
});

describe("results", () => {
  test("integers that fit are numbers at every depth, larger ones stay BigInt", () => {
    const bytes = encode({ size: 2n ** 40n, deep: [{ at: -(2n ** 40n) }], huge: 2n ** 60n });
    const value = decodeResult(bytes);
    expect(value).toEqual({ size: 2 ** 40, deep: [{ at: -(2 ** 40) }], huge: 2n ** 60n });
  });

  test("a view into a larger buffer is decoded alone", () => {
    const padded = Buffer.concat([Buffer.from([0xff, 0xff]), encode({ ok: true }), Buffer.from([0xff])]);
    expect(decodeResult(padded.subarray(2, padded.length - 1))).toEqual({ ok: true });
  });

  test("a key named __proto__ is a key", () => {
    const value = decodeResult(Buffer.from("a1695f5f70726f746f5f5fa1616101", "hex"));
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(({} as { a?: unknown }).a).toBeUndefined();
  });

  test("what is encoded as an argument comes back as it was", () => {
    const leaf = fc.oneof(
      fc.string(),
      fc.boolean(),
      fc.constant(null),
      fc.maxSafeInteger(),
      fc.double({ noNaN: true }).filter((value) => !Object.is(value, -0)),
    );
    const value = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        leaf,
        fc.array(tie("value"), { maxLength: 4 }),
        fc.dictionary(
          fc.string().filter((key) => key !== "__proto__"),
          tie("value"),
          { maxKeys: 4 },
        ),
      ),
    })).value;
    fc.assert(
      fc.property(value, (argument) => {
        const back = decodeResult(encodeInput({ args: [argument], kwargs: {} }));
        expect(JSON.stringify(back)).toBe(JSON.stringify([[argument], {}]));
      }),
    );
  });
});
