import type { FilmPart } from "../job/facts.ts";
import { PARTS_STAGE, partsProgress } from "../job/parts-progress.ts";
import type { StepProgress } from "../job/summary.ts";

/** Progress as the handler tells it. */
export interface CallProgress {
  readonly stage: string;
  readonly fraction: number;
  /** Number of the part of a film that it is about, from 0. */
  readonly part?: number | undefined;
}

/** Sums up the progress of the parts of a film. Gives null where a line changes nothing; lines of whole films pass. */
export function filmProgress(parts: () => readonly FilmPart[]): (line: CallProgress) => StepProgress | null {
  const fractions = new Map<number, number>();
  return ({ part, ...progress }) => {
    if (part === undefined) return progress;
    if (progress.stage !== PARTS_STAGE) return null;
    fractions.set(part, progress.fraction);
    const fraction = partsProgress(parts(), (number) => fractions.get(number) ?? 0);
    return { stage: PARTS_STAGE, fraction };
  };
}
