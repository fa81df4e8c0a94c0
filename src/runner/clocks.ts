import type { Checkpoint } from "../job/checkpoint.ts";
import { MirumojiError } from "../job/errors.ts";
import type { StepTools } from "../steps/context.ts";

/** The limits of waiting and of the whole job; the clock of one try is in `run-step`, the call's in its step. */
type Clocks = Pick<StepTools, "queueWaitMs" | "jobDeadlineMs" | "now">;

/** The clock that has run out for a job about to run a step, or null. Ending a job has no deadline. */
export function expiredClock(
  checkpoint: Checkpoint,
  submittedAt: number,
  clocks: Clocks,
): MirumojiError | null {
  const { state, startedAt, visits } = checkpoint;
  if (state === "undo" || state === "deleteVolume") return null;
  const waitedMs = startedAt - submittedAt;
  if (visits.length === 0 && waitedMs > clocks.queueWaitMs) {
    return new MirumojiError("QUEUE_WAIT_EXPIRED", `the job waited ${seconds(waitedMs)} in the queue`);
  }
  if (clocks.now() >= startedAt + clocks.jobDeadlineMs) return deadlineExceeded(clocks.jobDeadlineMs);
  return null;
}

/** The end of a whole job's time. */
export function deadlineExceeded(jobDeadlineMs: number): MirumojiError {
  return new MirumojiError("JOB_DEADLINE_EXCEEDED", `the job took longer than ${seconds(jobDeadlineMs)}`);
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}
