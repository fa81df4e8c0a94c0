import fc from "fast-check";
import { expect, it } from "vitest";
import { cutText } from "../../src/job/cut-text.ts";
import { MirumojiError } from "../../src/job/errors.ts";

it("leaves short text alone, and of long text keeps both ends", () => {
  const cases = [fc.string({ maxLength: 500 }), fc.integer({ min: 60, max: 300 })] as const;
  const holds = fc.property(...cases, (text, maxChars) => {
    const cut = cutText(text, maxChars);
    if (text.length <= maxChars) expect(cut).toBe(text);
    else expect([cut.length, cut[0], cut.at(-1)]).toEqual([maxChars, text[0], text.at(-1)]);
  });
  fc.assert(holds);
});

it("keeps every error short, whoever spoke", () => {
  expect(new MirumojiError("FUNCTION_FAILED", "x".repeat(300_000)).message.length).toBeLessThanOrEqual(4000);
});
