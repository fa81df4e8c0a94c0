import type { FilmPart } from "./facts.ts";

/** The stage in which nearly all of the time of a part passes; the others do not count. */
export const PARTS_STAGE = "transcribe";

/** How much of a film is done, from 0 to 1: parts with a result are, of the others `fractionOf` says how much. */
export function partsProgress(
  parts: readonly Pick<FilmPart, "start" | "end" | "result">[],
  fractionOf: (part: number) => number = () => 0,
): number {
  let done = 0;
  let total = 0;
  for (const [number, { start, end, result }] of parts.entries()) {
    total += end - start;
    done += (end - start) * (result === undefined ? fractionOf(number) : 1);
  }
  return total > 0 ? Math.min(1, done / total) : 0;
}
