import type { Cue } from "./cue.ts";
import { GAP_SECONDS, LONGEST_CUE_SECONDS, type LayoutRules, SHORTEST_CUE_SECONDS } from "./rules.ts";
import { columnsOf } from "./lines.ts";

/** How much sooner than its first word a cue may begin, when it could not be read in time otherwise. */
const LONGEST_LEAD_SECONDS = 0.15;
/** A cue is shown a little longer than it takes to read it, or rounding to milliseconds would make it too fast. */
const MARGIN_SECONDS = 0.002;

/**
 * Gives every cue the time that its text takes to read, as far as the speech around it allows, and parts it from the
 * next one. Times stay those of the speech where that is time enough.
 */
export function pace(cues: readonly Cue[], rules: LayoutRules): Cue[] {
  const paced = cues.map((cue) => ({ ...cue, end: Math.min(cue.end, cue.start + LONGEST_CUE_SECONDS) }));
  const wanted = paced.map((cue) => wantedSeconds(cue, rules));
  for (const [at, cue] of paced.entries()) {
    const [previous, next] = [paced[at - 1], paced[at + 1]];
    const wants = wanted[at] ?? 0;
    if (next !== undefined && cue.end > next.start - GAP_SECONDS) part(cue, next, wants, wanted[at + 1] ?? 0);
    if (cue.end - cue.start < wants) {
      const room = next === undefined ? Infinity : next.start - GAP_SECONDS;
      cue.end = Math.max(cue.end, Math.min(cue.start + wants, room));
    }
    if (cue.end - cue.start < wants) {
      const room = previous === undefined ? 0 : previous.end + GAP_SECONDS;
      cue.start = Math.min(cue.start, Math.max(cue.end - wants, room, cue.start - LONGEST_LEAD_SECONDS));
    }
  }
  return paced;
}

function wantedSeconds({ lines }: Cue, { maxColumnsPerSecond }: LayoutRules): number {
  const columns = lines.reduce((sum, line) => sum + columnsOf(line), 0);
  return Math.min(
    LONGEST_CUE_SECONDS,
    Math.max(SHORTEST_CUE_SECONDS, columns / maxColumnsPerSecond) + MARGIN_SECONDS,
  );
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Makes the gap between two cues: of the first one's time, or of the second one's where the first has none to spare. */
function part(cue: Mutable<Cue>, next: Mutable<Cue>, wants: number, nextWants: number): void {
  const end = Math.min(cue.end, next.start);
  const spare = Math.max(0, end - cue.start - wants);
  const missing = GAP_SECONDS - (next.start - end);
  const nextSpare = Math.max(0, next.end - next.start - nextWants);
  const taken = Math.min(nextSpare, Math.max(0, missing - spare));
  next.start += taken;
  cue.end = Math.max(cue.start, next.start - GAP_SECONDS);
}
