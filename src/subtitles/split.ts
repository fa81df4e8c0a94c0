import { type Cue, cueOf } from "./cue.ts";
import { BREAK_COSTS, columnsOf, wrap } from "./lines.ts";
import { LONGEST_CUE_SECONDS, type LayoutRules, SHORTEST_CUE_SECONDS } from "./rules.ts";
import type { TimedUnit } from "./times.ts";

const CUE_COST = 10;
/** For each second that a cue is too short, or too short for its text. */
const HURRY_COST = 12;
/** For each second over seven; not so much that a word would be taken apart for it. */
const LONG_COST = 10;
const MOST_LONG_COST = 60;
/** For a cue with nothing in it. */
const EMPTY_COST = 6;
/** How much a pause of a second is worth to end a cue at. */
const PAUSE_GAIN = 8;

interface Step {
  readonly cost: number;
  readonly from: number;
  readonly lines: Cue["lines"];
}

/** Parts a segment into the cues that read best; one that fits a cue stays whole. */
export function splitSegment(units: readonly TimedUnit[], rules: LayoutRules): Cue[] {
  const best: (Step | undefined)[] = [{ cost: 0, from: 0, lines: [] }];
  for (let end = 1; end <= units.length; end++) {
    const leave = costOfBreak(units, end);
    if (leave === null) continue;
    for (let from = end - 1; from >= 0; from--) {
      const before = best[from];
      if (before === undefined) continue;
      const step = costOfCue(units.slice(from, end), rules);
      // The first that can be had is taken even where it does not fit: a text without any place to break it.
      if (step.excess > 0 && best[end] !== undefined) break;
      const cost = before.cost + leave + step.cost + step.excess;
      if (cost < (best[end]?.cost ?? Infinity)) best[end] = { cost, from, lines: step.lines };
    }
  }
  return cuesFrom(best);
}

/** Null where no cue may end. */
function costOfBreak(units: readonly TimedUnit[], at: number): number | null {
  const [last, next] = [units[at - 1], units[at]];
  if (last === undefined || next === undefined) return 0;
  if (next.breakBefore === null) return null;
  const pause = Math.min(1, Math.max(0, next.start - last.end));
  return BREAK_COSTS[next.breakBefore] * 2 - pause * PAUSE_GAIN;
}

function costOfCue(
  part: readonly TimedUnit[],
  rules: LayoutRules,
): { readonly cost: number; readonly excess: number; readonly lines: Cue["lines"] } {
  const wrapped = wrap(part, rules);
  const lines = wrapped?.lines ?? [part];
  const { start, end } = cueOf(lines);
  const columns = lines.reduce((sum, line) => sum + columnsOf(line), 0);
  const wanted = Math.max(SHORTEST_CUE_SECONDS, columns / rules.maxColumnsPerSecond);
  const hurry = Math.max(0, wanted - (end - start)) * HURRY_COST;
  const empty = Math.max(0, 1 - columns / (rules.maxColumns * rules.maxLines)) ** 2 * EMPTY_COST;
  const long = Math.min(MOST_LONG_COST, Math.max(0, end - start - LONGEST_CUE_SECONDS) * LONG_COST);
  const excess = wrapped === null ? 1000 + columns : 0;
  return { cost: CUE_COST + (wrapped?.cost ?? 0) + hurry + empty + long, excess, lines };
}

function cuesFrom(best: readonly (Step | undefined)[]): Cue[] {
  const cues: Cue[] = [];
  for (let step = best.at(-1); step !== undefined && step.lines.length > 0; step = best[step.from]) {
    cues.unshift(cueOf(step.lines));
  }
  return cues;
}
