import { expect, it } from "vitest";
import { renderTranscript } from "../../src/steps/transcript-formats.ts";

const transcript = (...texts: string[]) => ({
  v: 1 as const,
  language: "en",
  segments: texts.map((text, at) => ({ start: at, end: at + 1, text })),
});

it("shows in WebVTT what was said, and takes none of it for markup", () => {
  const text = renderTranscript("vtt", transcript("I <3 you", "R&D --> <b>"), "x");
  expect(text).toContain("I &lt;3 you\n");
  expect(text).toContain("R&amp;D → &lt;b&gt;\n");
  expect(renderTranscript("srt", transcript("I <3 you"), "x")).toContain("I <3 you\n");
});

it("begins with the word WEBVTT even where nobody speaks", () => {
  expect(renderTranscript("vtt", transcript(), "x")).toBe("WEBVTT\n");
  expect(renderTranscript("srt", transcript(), "x")).toBe("");
});
