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
