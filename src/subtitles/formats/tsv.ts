import { type Cue, textOf } from "../cue.ts";

/** As Whisper's own: times in milliseconds, and the text in one line, with a space in the place of a tab. */
export function tsv(cues: readonly Cue[]): string {
  const rows = cues.map((cue) => [
    Math.round(cue.start * 1000),
    Math.round(cue.end * 1000),
    textOf(cue).replaceAll("\t", " "),
  ]);
  return [["start", "end", "text"], ...rows].map((row) => `${row.join("\t")}\n`).join("");
}
