import { expect, it } from "vitest";
import { transcribeRequestSchema } from "../../src/job/contract.ts";
import { renderTranscript } from "../../src/subtitles/render.ts";

const plain = { engine: "x", options: transcribeRequestSchema.parse({ v: 1, input: "a.mp4" }) };
const transcript = (...texts: string[]) => ({
  v: 1 as const,
  language: "en",
  segments: texts.map((text, at) => ({ start: at, end: at + 1, text })),
});

it("shows in WebVTT what was said, and takes none of it for markup", () => {
  const text = renderTranscript("vtt", transcript("I <3 you", "R&D --> <b>"), plain);
  expect(text).toContain("I &lt;3 you\n");
  expect(text).toContain("R&amp;D → &lt;b&gt;\n");
  expect(renderTranscript("srt", transcript("I <3 you"), plain)).toContain("I <3 you\n");
});

it("begins with the word WEBVTT even where nobody speaks", () => {
  expect(renderTranscript("vtt", transcript(), plain)).toBe("WEBVTT\n");
  expect(renderTranscript("srt", transcript(), plain)).toBe("");
});

it("puts a cue of two lines into one in LRC and TSV: with a space in English, without one in Japanese", () => {
  const english = "This is a sentence that is much too long for a single line of subtitles";
  const japanese = "友達と一緒に新しい映画を見に行きました、とても楽しかったです";
  const two = {
    v: 1 as const,
    language: "en",
    segments: [
      { start: 0.5, end: 6.5, text: english },
      { start: 61.239, end: 67, text: "Tab\there" },
    ],
  };
  expect(renderTranscript("srt", two, plain)).toContain("much too\n");
  expect(renderTranscript("lrc", two, plain)).toBe(
    `[00:00.50]${english}\n[00:06.50]\n[01:01.24]Tab here\n[01:07.00]\n`,
  );
  expect(renderTranscript("tsv", two, plain)).toBe(
    `start\tend\ttext\n500\t6500\t${english}\n61239\t67000\tTab here\n`,
  );
  const one = { v: 1 as const, language: "ja", segments: [{ start: 0, end: 6, text: japanese }] };
  expect(renderTranscript("srt", one, plain).split("\n").length).toBeGreaterThan(4);
  expect(renderTranscript("tsv", one, plain).split("\t").at(-1)).toBe(`${japanese}\n`);
});
