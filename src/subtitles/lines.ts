import type { BreakKind, Unit } from "./breaks.ts";
import type { LayoutRules } from "./rules.ts";
import { graphemeColumns } from "./width.ts";

/** How much a break at such a place costs the reader. */
export const BREAK_COSTS: Readonly<Record<BreakKind, number>> = {
  clause: 0,
  phrase: 1,
  word: 4,
  ending: 12,
  character: 40,
};
/** A second line is more to look at. */
const LINE_COST = 1;
/** Two lines of which one has nothing at all. */
const UNEVEN_COST = 3;

interface Wrapped<U extends Unit> {
  readonly lines: readonly (readonly U[])[];
  readonly cost: number;
}

/**
 * Breaks a text into the lines that read best: as few as it takes, at the best places, of equal length. Null when it
 * does not fit.
 */
export function wrap<U extends Unit>(
  units: readonly U[],
  { maxColumns, maxLines }: Pick<LayoutRules, "maxColumns" | "maxLines">,
): Wrapped<U> | null {
  const whole = columnsOf(units);
  if (whole <= maxColumns) return { lines: [trimmed(units)], cost: 0 };
  if (maxLines === 1 || whole > maxColumns * maxLines + maxLines) return null;
  let best: Wrapped<U> | null = null;
  for (let at = 1; at < units.length; at++) {
    const kind = units[at]?.breakBefore ?? null;
    if (kind === null) continue;
    const first = units.slice(0, at);
    const width = columnsOf(first);
    if (width > maxColumns) break;
    const rest = wrap(units.slice(at), { maxColumns, maxLines: maxLines - 1 });
    if (rest === null) continue;
    const uneven = rest.lines.length === 1 ? Math.abs(1 - (2 * width) / whole) * UNEVEN_COST : 0;
    const cost = rest.cost + LINE_COST + BREAK_COSTS[kind] + uneven;
    if (best === null || cost < best.cost) best = { lines: [trimmed(first), ...rest.lines], cost };
  }
  return best;
}

/** Columns of a line; the spaces at its ends are not shown. */
export function columnsOf(units: readonly Unit[]): number {
  return trimmed(units).reduce((sum, { text }) => sum + graphemeColumns(text), 0);
}

function trimmed<U extends Unit>(units: readonly U[]): readonly U[] {
  const isText = ({ text }: Unit) => text.trim() !== "";
  const [first, last] = [units.findIndex(isText), units.findLastIndex(isText)];
  return first === 0 && last === units.length - 1 ? units : units.slice(Math.max(0, first), last + 1);
}
