import { formatTimestamp, stringifySync } from "subtitle";
import { type Cue, linesOf } from "../cue.ts";

export function srt(cues: readonly Cue[]): string {
  return written(cues, "SRT", (cue) => linesOf(cue).join("\n"));
}

/** With `wordTimes` each word carries its time (WebVTT 4.2.2), as karaoke and players for learners use them. */
export function vtt(cues: readonly Cue[], { wordTimes }: { readonly wordTimes: boolean }): string {
  const text = wordTimes ? timedText : (cue: Cue) => linesOf(cue).map(escaped).join("\n");
  return written(cues, "WebVTT", text) || "WEBVTT\n";
}

function written(cues: readonly Cue[], format: "SRT" | "WebVTT", textOf: (cue: Cue) => string): string {
  const text = stringifySync(
    cues.map((cue) => ({
      type: "cue" as const,
      data: { start: milliseconds(cue.start), end: milliseconds(cue.end), text: textOf(cue) },
    })),
    { format },
  );
  return text.endsWith("\n") || text === "" ? text : `${text}\n`;
}

function timedText(cue: Cue): string {
  const earliest = milliseconds(cue.start);
  const latest = milliseconds(cue.end);
  let before = earliest;
  const textOf = ({ text, start, isWordStart }: Cue["lines"][number][number]) => {
    const at = milliseconds(start);
    // Times within a cue must grow, and be inside it.
    if (!isWordStart || at <= before || at >= latest) return escaped(text);
    before = at;
    return `<${formatTimestamp(at, { format: "WebVTT" })}>${escaped(text)}`;
  };
  return cue.lines.map((line) => line.map(textOf).join("")).join("\n");
}

/** WebVTT takes `<` and `&` for markup, so that what follows them would not be shown. */
function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function milliseconds(seconds: number): number {
  return Math.round(seconds * 1000);
}
