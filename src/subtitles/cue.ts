import type { TimedUnit } from "./times.ts";

/** Text that is shown at a time. */
export interface Cue {
  /** Seconds from the start of the media. */
  readonly start: number;
  readonly end: number;
  /** Its lines, with the time of each character. */
  readonly lines: readonly (readonly TimedUnit[])[];
}

/** A cue with the times of what is in it. */
export function cueOf(lines: Cue["lines"]): Cue {
  return { start: lines[0]?.[0]?.start ?? 0, end: lines.at(-1)?.at(-1)?.end ?? 0, lines };
}

/** The lines of a cue as text. */
export function linesOf({ lines }: Cue): string[] {
  return lines.map((line) => line.map(({ text }) => text).join(""));
}

/** Scripts whose words have no spaces between them, and their punctuation. */
const UNSPACED = String.raw`[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}ー、。！？」』）…]`;
const UNSPACED_BREAK = new RegExp(`(?<=${UNSPACED})\n(?=${UNSPACED}|[「『（])`, "gu");

/** The text of a cue in one line: a space in the place of a line break, except where words stand without spaces. */
export function textOf(cue: Cue): string {
  return linesOf(cue).join("\n").replaceAll(UNSPACED_BREAK, "").replaceAll("\n", " ");
}
