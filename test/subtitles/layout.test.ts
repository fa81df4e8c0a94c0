import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { unitsOf } from "../../src/subtitles/breaks.ts";
import { linesOf } from "../../src/subtitles/cue.ts";
import { cuesOf } from "../../src/subtitles/layout.ts";
import { GAP_SECONDS } from "../../src/subtitles/rules.ts";
import type { Segment } from "../../src/subtitles/transcript.ts";

const readable = { layout: "readable", max_line_width: null, max_lines: 2, max_cps: null } as const;
const laidOut = (language: string, segments: Segment[], options: object = {}) =>
  cuesOf({ v: 1, language, segments }, { ...readable, ...options }).map((cue) => ({
    start: cue.start,
    end: cue.end,
    lines: linesOf(cue),
  }));
const columns = (line: string) => Array.from(line).reduce((sum, char) => sum + (char > "\u2e80" ? 2 : 1), 0);

describe("lines", () => {
  it.each([
    [
      "来年の夏は、家族みんなで北海道へ旅行するつもりです。",
      ["来年の夏は、家族みんなで", "北海道へ旅行するつもりです。"],
    ],
    ["彼女は3年前から日本語を勉強しています。", ["彼女は3年前から日本語を", "勉強しています。"]],
    ["もう一度ゆっくり話していただけませんか。", ["もう一度ゆっくり", "話していただけませんか。"]],
    ["図書館では静かにしてください。", ["図書館では静かにしてください。"]],
  ])("break %s between phrases, into halves", (text, lines) => {
    expect(laidOut("ja", [{ start: 0, end: 4, text }])).toEqual([expect.objectContaining({ lines })]);
  });

  it("break other languages at 42 characters", () => {
    const text = "I have told you before, nobody has ever walked all the way up there.";
    expect(laidOut("en", [{ start: 0, end: 4, text }])[0]?.lines).toEqual([
      "I have told you before, nobody has",
      "ever walked all the way up there.",
    ]);
  });

  it("are as wide and as many as the request says", () => {
    const segment = { start: 0, end: 6, text: "母は毎朝六時に起きて、庭の花に水をやります。" };
    const [narrow] = laidOut("ja", [segment], { max_line_width: 8, max_lines: 3 });
    expect(narrow?.lines.length).toBeLessThanOrEqual(3);
    for (const line of narrow?.lines ?? []) expect(columns(line)).toBeLessThanOrEqual(16);
    expect(laidOut("ja", [segment], { max_line_width: 30, max_lines: 1 })[0]?.lines).toEqual([segment.text]);
  });
});

describe("times", () => {
  it("are those of the words where a sentence becomes several cues, which part at a pause", () => {
    const halves = ["私は学生の時から、いつか自分の店を", "持ちたいと思って、少しずつお金を貯めてきました。"];
    const words = [
      { start: 1, end: 4, text: halves[0] ?? "" },
      { start: 4.6, end: 8, text: halves[1] ?? "" },
    ];
    const cues = laidOut("ja", [{ start: 1, end: 8, text: halves.join(""), words }]);
    expect(cues.map(({ start, end }) => [start, end])).toEqual([
      [1, 4],
      [4.6, 8],
    ]);
  });

  it("give a short cue the time to be read, of the silence around it", () => {
    const segments = [
      { start: 1, end: 1.2, text: "はい。" },
      { start: 3, end: 3.6, text: "分かりました。" },
      { start: 3.7, end: 6, text: "ちょっと待ってください。" },
    ];
    const [short, fast, next] = laidOut("ja", segments);
    expect(short).toMatchObject({ start: 1, end: expect.closeTo(1.502, 3) });
    // There is not enough time after it, so it begins a little sooner.
    expect(fast?.end).toBeCloseTo(3.7 - GAP_SECONDS, 3);
    expect(fast?.start).toBeCloseTo(2.85, 3);
    expect(next?.start).toBe(3.7);
  });

  it("leave two frames between cues that follow each other at once", () => {
    const [first, second] = laidOut("en", [
      { start: 0, end: 2, text: "One." },
      { start: 2, end: 4, text: "Two." },
    ]);
    expect((second?.start ?? 0) - (first?.end ?? 0)).toBeCloseTo(GAP_SECONDS, 5);
  });

  it("end a cue after seven seconds", () => {
    expect(laidOut("en", [{ start: 0, end: 30, text: "Ah" }])).toEqual([{ start: 0, end: 7, lines: ["Ah"] }]);
  });
});

it("writes segments as they are with layout raw", () => {
  const text =
    "雨が降りそうだから、傘を持って行ったほうがいいですよ。もう一度ゆっくり話していただけませんか。";
  expect(laidOut("ja", [{ start: 0, end: 9, text }], { layout: "raw" })).toEqual([
    { start: 0, end: 9, lines: [text] },
  ]);
});

describe("whatever is said", () => {
  const letters = Array.from("あかがっゃー、。」「『）漢字語日本アイウァ123 abc?!…々");
  const text = fc
    .array(fc.constantFrom(...letters), { minLength: 1, maxLength: 120 })
    .map((chars) => chars.join(""));
  const segments = fc.array(fc.record({ text, seconds: fc.double({ min: 0, max: 12, noNaN: true }) }), {
    maxLength: 6,
  });

  it("the text is kept, no line begins wrongly or is too wide, and cues neither overlap nor go backwards", () => {
    fc.assert(
      fc.property(segments, fc.constantFrom("ja", "en", "zh"), (parts, language) => {
        let at = 0;
        const said = parts.map(({ text: words, seconds }) => {
          const segment = { start: at, end: at + seconds, text: words };
          at += seconds;
          return segment;
        });
        const cues = laidOut(language, said);
        const bare = (joined: string) => joined.replaceAll(/\s/gu, "");
        expect(bare(cues.flatMap(({ lines }) => lines).join(""))).toBe(
          bare(said.map((s) => s.text).join("")),
        );
        const width = language === "en" ? 42 : 32;
        for (const [index, cue] of cues.entries()) {
          expect(cue.end).toBeGreaterThanOrEqual(cue.start);
          expect(cue.end - cue.start).toBeLessThanOrEqual(7.0001);
          expect(cue.lines.length).toBeLessThanOrEqual(2);
          for (const line of cue.lines.slice(1)) expect(line).not.toMatch(/^[、。」）っゃァー々!?…]/u);
          for (const line of cue.lines.filter((one) => columns(one) > width)) {
            expect(unitsOf(line, language).every(({ breakBefore }) => breakBefore === null)).toBe(true);
          }
          const next = cues[index + 1];
          if (next !== undefined) expect(next.start).toBeGreaterThanOrEqual(cue.end - 1e-9);
        }
      }),
      { numRuns: 60 },
    );
  });
});
