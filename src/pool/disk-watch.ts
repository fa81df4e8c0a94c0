import type { HealthCheck } from "./health.ts";
import type { Intake } from "./intake.ts";

const ROUND_MS = 5000;
/** A mount that takes longer to say how much space it has is not one to write results to. */
const ANSWER_MS = 10_000;

export interface DiskWatchOptions {
  /** The disk check of the worker's health. */
  readonly check: HealthCheck;
  readonly intake: Intake;
  /** Told of each change: what is wrong, or null when all is well again. */
  readonly onChange: (problem: string | null) => void;
  readonly onError: (error: unknown) => void;
  readonly roundMs?: number;
  readonly answerMs?: number;
}

/**
 * Takes no jobs while the disk check fails: results that were paid for need the space. Jobs that run here go on, and
 * wait for the disk where they need it.
 */
export function startDiskWatch(options: DiskWatchOptions): { stop: () => void } {
  const { check, intake, onChange, onError, roundMs = ROUND_MS, answerMs = ANSWER_MS } = options;
  let isPaused = false;
  let asked: { readonly since: number } | null = null;
  const heed = async (problem: string | null): Promise<void> => {
    if ((problem !== null) === isPaused) return;
    isPaused = problem !== null;
    onChange(problem);
    await intake.set("disk", problem);
  };
  const round = async (): Promise<void> => {
    if (asked !== null) {
      // A hung mount has a thread already; another question would take one more.
      if (performance.now() - asked.since > answerMs) await heed("the media root does not answer");
      return;
    }
    asked = { since: performance.now() };
    const problem = await check().catch(String);
    asked = null;
    await heed(problem);
  };
  const timer = setInterval(() => void round().catch(onError), roundMs);
  void round().catch(onError);
  return { stop: () => clearInterval(timer) };
}
