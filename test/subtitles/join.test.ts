import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { joinParts } from "../../src/subtitles/join.ts";
import type { Segment } from "../../src/subtitles/transcript.ts";

interface Said {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** Segments of some words each, as a hearing of them gives. */
function heard(words: readonly Said[], sizes: readonly number[]): Segment[] {
  const segments: Segment[] = [];
  let rest = [...words];
  for (let turn = 0; rest.length > 0; turn += 1) {
    const own = rest.slice(0, sizes[turn % sizes.length]);
    rest = rest.slice(own.length);
    const text = own.map((word) => word.text).join(" ");
    segments.push({ start: own[0]?.start ?? 0, end: own.at(-1)?.end ?? 0, text, words: own });
  }
  return segments;
}

const wordsOf = (segments: readonly Segment[]) =>
  segments.flatMap(({ words = [] }) => words.map(({ text }) => text));

const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });

describe("parts that were heard twice where they meet", () => {
  it("lose no word and double none, whatever the sentences and however exact the times", () => {
    const speech = fc.record({
      // Few words, so that they repeat.
      texts: fc.array(fc.constantFrom("a", "b", "c", "no", "No,", "yes."), { minLength: 30, maxLength: 120 }),
      sizes: fc.tuple(sizes, sizes),
      jitter: fc.double({ min: -0.12, max: 0.12, noNaN: true }),
      at: fc.double({ min: 0.3, max: 0.7, noNaN: true }),
    });
    fc.assert(
      fc.property(speech, ({ texts, sizes: [left, right], jitter, at }) => {
        const words = texts.map((text, index) => ({ text, start: index * 0.5, end: index * 0.5 + 0.3 }));
        const seconds = texts.length * 0.5;
        const [from, to] = [seconds * at - 3, seconds * at + 3];
        const before = words.filter(({ end }) => end <= to);
        const after = words
          .filter(({ start }) => start >= from)
          .map(({ text, start, end }) => ({ text, start: start + jitter, end: end + jitter }));
        const joined = joinParts([
          { start: 0, end: to, segments: heard(before, left) },
          { start: from, end: seconds, segments: heard(after, right) },
        ]);
        expect(wordsOf(joined)).toEqual(texts);
        expect(joined.map(({ text }) => text).join(" ")).toBe(texts.join(" "));
        for (const [index, { start, end }] of joined.entries()) {
          expect(end).toBeGreaterThanOrEqual(start);
          expect(start).toBeGreaterThanOrEqual((joined[index - 1]?.start ?? 0) - 1e-9);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("are one sentence again where it was cut, without spaces where there are none", () => {
    const word = (text: string, start: number) => ({ text, start, end: start + 0.4 });
    const left = {
      start: 0,
      end: 9,
      text: "今日は天",
      words: [word("今日", 6), word("は", 7), word("天", 8.5)],
    };
    const right = {
      start: 6.6,
      end: 12,
      text: "は天気です。",
      words: [word("は", 7), word("天気", 8), word("です。", 11)],
    };
    const joined = joinParts([
      { start: 0, end: 9, segments: [left] },
      { start: 6.5, end: 20, segments: [right] },
    ]);
    expect(joined.map(({ text }) => text)).toEqual(["今日は天気です。"]);
    expect(joined[0]).toMatchObject({ start: 0, end: 12 });
  });

  it("are cut between words where they agree on nothing", () => {
    const one = { start: 8, end: 9.2, text: "hm" };
    const other = { start: 11.5, end: 12, text: "oh" };
    const joined = joinParts([
      { start: 0, end: 12, segments: [one] },
      { start: 8, end: 20, segments: [other] },
    ]);
    expect(joined).toEqual([one, other]);
  });
});

it("puts parts that meet in a pause one after the other as they are", () => {
  const one = { start: 1, end: 2, text: "a a" };
  const other = { start: 2.5, end: 3, text: "a a" };
  const parts = [
    { start: 0, end: 2.2, segments: [one] },
    { start: 2.2, end: 4, segments: [] },
    { start: 4, end: 9, segments: [other] },
  ];
  expect(joinParts(parts)).toEqual([one, other]);
  expect(joinParts([])).toEqual([]);
});
