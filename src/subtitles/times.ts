import type { Unit } from "./breaks.ts";
import type { Segment } from "./transcript.ts";

/** A character with the time in which it is said, in seconds. */
export interface TimedUnit extends Unit {
  readonly start: number;
  readonly end: number;
  /** Whether the engine heard a word begin here. */
  readonly isWordStart: boolean;
}

/**
 * Gives each character of a segment its time: a share of its word's, or of the segment's where the engine gave no
 * words or others than those of the text.
 */
export function timedUnits(segment: Segment, units: readonly Unit[]): TimedUnit[] {
  return fromWords(segment, units) ?? spread(units, segment.start, segment.end);
}

function fromWords({ words = [] }: Segment, units: readonly Unit[]): TimedUnit[] | null {
  const timed: TimedUnit[] = [];
  let at = 0;
  for (const word of words) {
    const letters = word.text.replaceAll(/\s/gu, "");
    const from = at;
    let seen = "";
    while (at < units.length && seen.length < letters.length) seen += units[at++]?.text.trim() ?? "";
    if (seen !== letters) return null;
    const [first, ...rest] = spread(units.slice(from, at), word.start, Math.max(word.start, word.end));
    if (first !== undefined) timed.push({ ...first, isWordStart: true }, ...rest);
  }
  return at === units.length && at > 0 ? timed : null;
}

function spread(units: readonly Unit[], start: number, end: number): TimedUnit[] {
  const step = (end - start) / Math.max(1, units.length);
  return units.map((unit, at) => ({
    ...unit,
    start: start + at * step,
    end: start + (at + 1) * step,
    isWordStart: false,
  }));
}
