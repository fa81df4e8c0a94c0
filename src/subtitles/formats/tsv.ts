import { type Cue, linesOf } from "../cue.ts";

/** As Whisper's own: times in milliseconds, and the text with a space in the place of a tab or a line break. */
export function tsv(cues: readonly Cue[]): string {
  const rows = cues.map((cue) => [
    Math.round(cue.start * 1000),
    Math.round(cue.end * 1000),
    linesOf(cue).join(" ").replaceAll("\t", " "),
  ]);
  return [["start", "end", "text"], ...rows].map((row) => `${row.join("\t")}\n`).join("");
}
