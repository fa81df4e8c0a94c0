import { MirumojiError } from "../job/errors.ts";
import { CRASH_BUDGET, MACHINE, type WorkingState } from "../job/machine.ts";
import type { JobRun } from "./job-run.ts";

/** Node's timers fire at once beyond this. An attempt is never that long. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * The limit that a job about to run a step has reached, or null: workers died on it too often, it waited too long for
 * the first of them, or its whole time is over. Ending a job has no limit but its own tries.
 */
export function limitReached(run: JobRun): MirumojiError | null {
  const { checkpoint, delivery, tools, crashes } = run;
  const { state, startedAt, visits } = checkpoint;
  if (crashes > CRASH_BUDGET && state !== "undo") {
    return new MirumojiError("CRASH_BUDGET_SPENT", `workers died or stalled on this job ${crashes} times`);
  }
  if (isEnding(state)) return null;
  const waitedMs = startedAt - delivery.submittedAt;
  if (visits.length === 0 && waitedMs > tools.queueWaitMs) {
    return new MirumojiError("QUEUE_WAIT_EXPIRED", `the job waited ${seconds(waitedMs)} in the queue`);
  }
  return tools.now() >= startedAt + tools.jobDeadlineMs ? deadlineExceeded(tools.jobDeadlineMs) : null;
}

/**
 * A worker's death while a job's files were checked, which counts as a try: the input may be what kills workers. The pause
 * before the next one parts it from jobs that only happened to be there. Null where there was none.
 */
export function diedChecking({ checkpoint, newCrashes }: JobRun): MirumojiError | null {
  if (checkpoint.state !== "createVolume" || newCrashes <= 0) return null;
  return new MirumojiError("WORKER_DIED", "a worker died or stalled while it checked the files of this job");
}

/**
 * The signal of one attempt: it aborts when the job is stopped or cancelled (see `JobSignals`), when the attempt takes
 * longer than its step may, or when the job's whole time is over. Dispose of it when the attempt is over.
 *
 * `AbortSignal.any` would do the same for ten times the processor time, and leave the cleaning up to the garbage
 * collector.
 */
export function attemptSignal(run: JobRun): Disposable & { readonly signal: AbortSignal } {
  const { stopped, cancelled } = run.delivery.signals;
  const sources = isEnding(run.checkpoint.state) ? [stopped] : [stopped, cancelled];
  const controller = new AbortController();
  const follow = (event: { readonly target: unknown }) => {
    const source = event.target as AbortSignal;
    controller.abort(source.reason);
  };
  for (const source of sources) {
    if (source.aborted) controller.abort(source.reason);
    else source.addEventListener("abort", follow);
  }
  const timers = timeLimits(run).map(({ inMs, reason }) =>
    setTimeout(() => controller.abort(reason()), Math.min(Math.max(0, inMs), LONGEST_TIMER_MS)),
  );
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const timer of timers) clearTimeout(timer);
      for (const source of sources) source.removeEventListener("abort", follow);
    },
  };
}

/** A moment at which an attempt is over; its reason is only made when it is reached. */
interface TimeLimit {
  readonly inMs: number;
  readonly reason: () => MirumojiError;
}

/** When an attempt takes too long, by its own clock and by the job's. The call's own clock is in its step. */
function timeLimits({ checkpoint, tools }: JobRun): TimeLimit[] {
  const { state, startedAt } = checkpoint;
  const limits: TimeLimit[] = [];
  const { attemptDeadlineMs } = MACHINE[state];
  if (attemptDeadlineMs !== null) {
    limits.push({
      inMs: attemptDeadlineMs,
      reason: () =>
        new MirumojiError("STEP_TIMED_OUT", `${state} took longer than ${attemptDeadlineMs / 1000} s`),
    });
  }
  if (!isEnding(state)) {
    const { jobDeadlineMs } = tools;
    limits.push({
      inMs: startedAt + jobDeadlineMs - tools.now(),
      reason: () => deadlineExceeded(jobDeadlineMs),
    });
  }
  return limits;
}

/** Whether the state ends a job, well or not: it is not stopped half-way by a cancel or by the job's deadline. */
function isEnding(state: WorkingState): boolean {
  return state === "undo" || state === "deleteVolume";
}

function deadlineExceeded(jobDeadlineMs: number): MirumojiError {
  return new MirumojiError("JOB_DEADLINE_EXCEEDED", `the job took longer than ${seconds(jobDeadlineMs)}`);
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}
