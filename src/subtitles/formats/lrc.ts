import { type Cue, textOf } from "../cue.ts";

/** Lyrics: a line per cue, and an empty one where nothing is sung for a while. */
export function lrc(cues: readonly Cue[]): string {
  return cues
    .flatMap((cue, at) => {
      const next = cues[at + 1];
      const isPause = next === undefined || next.start - cue.end >= SHORTEST_PAUSE_SECONDS;
      return [line(cue.start, textOf(cue)), ...(isPause ? [line(cue.end, "")] : [])];
    })
    .join("");
}

const SHORTEST_PAUSE_SECONDS = 2;

function line(seconds: number, text: string): string {
  const hundredths = Math.round(seconds * 100);
  const minutes = String(Math.floor(hundredths / 6000)).padStart(2, "0");
  const rest = ((hundredths % 6000) / 100).toFixed(2).padStart(5, "0");
  return `[${minutes}:${rest}]${text}\n`;
}
