import { stringifySync } from "subtitle";
import type { SubtitleFormat } from "../job/contract.ts";
import type { Transcript } from "./handler-contract.ts";

/** Mirumoji joins segment texts with the Japanese full stop. */
const JOINER = "。";

/** One text file from the segments; the same segments always give the same bytes. */
export function renderTranscript(format: SubtitleFormat, transcript: Transcript, engine: string): string {
  const { language } = transcript;
  const segments = transcript.segments.map((segment) => ({ ...segment, text: oneLine(segment.text) }));
  const spoken = segments.filter((segment) => segment.text !== "");
  switch (format) {
    case "srt":
      return cues(spoken, "SRT");
    case "vtt":
      return cues(spoken.map(escaped), "WebVTT") || "WEBVTT\n";
    case "json":
      return `${JSON.stringify({ v: 1, language, engine, segments: spoken }, null, 2)}\n`;
    case "txt":
      return spoken.map((segment) => `${segment.text}\n`).join("");
    case "joined":
      return spoken.map((segment) => segment.text).join(JOINER);
  }
}

function cues(segments: Transcript["segments"], format: "SRT" | "WebVTT"): string {
  const text = stringifySync(
    segments.map(({ start, end, text: words }) => ({
      type: "cue" as const,
      data: { start: Math.round(start * 1000), end: Math.round(Math.max(start, end) * 1000), text: words },
    })),
    { format },
  );
  return text.endsWith("\n") || text === "" ? text : `${text}\n`;
}

/** WebVTT takes `<` and `&` for markup, so that what follows them would not be shown. */
function escaped<T extends { readonly text: string }>(segment: T): T {
  const text = segment.text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  return { ...segment, text };
}

/** A blank line inside a cue would end it, and `-->` would start another one. */
function oneLine(text: string): string {
  return text.replace(/\s+/gu, " ").replaceAll("-->", "→").trim();
}
