import { MirumojiError, toMirumojiError } from "../job/errors.ts";
import type { FactsAt, StoredFacts } from "../job/facts.ts";
import { MACHINE, type WorkingState } from "../job/machine.ts";
import { outcomeOf, type Outcome } from "../job/outcome.ts";
import type { StepProgress } from "../job/summary.ts";
import { call } from "../steps/call.ts";
import type { Step, StepTools } from "../steps/context.ts";
import { createVolume } from "../steps/create-volume.ts";
import { deleteVolume } from "../steps/delete-volume.ts";
import { download } from "../steps/download.ts";
import { undo } from "../steps/undo.ts";
import { upload } from "../steps/upload.ts";
import { deadlineExceeded } from "./clocks.ts";
import { Fenced, type LiveJob } from "./live-job.ts";

/** Every state of the path has its step; the compiler checks what each must give. */
const STEPS: { [S in Exclude<WorkingState, "undo">]: Step<S> } = {
  createVolume,
  upload,
  call,
  download,
  deleteVolume,
};

/** What one attempt gave: an outcome for `decide`, and the facts that were earned. */
export interface Attempt {
  readonly outcome: Outcome;
  readonly gained: StoredFacts;
}

/** Runs one attempt of the job's step under its deadline and the stop signals. Only `Fenced` is thrown. */
export async function runStep(
  live: LiveJob,
  tools: StepTools,
  options: { signal: AbortSignal; cancelled: AbortSignal; report: (progress: StepProgress) => void },
): Promise<Attempt> {
  const { state } = live.checkpoint;
  using deadline = attemptDeadline(live, tools);
  // What ends a job, well or not, is not stopped half-way by a cancel.
  const mayCancel = state !== "undo" && state !== "deleteVolume";
  const signal = AbortSignal.any([
    options.signal,
    deadline.signal,
    ...(mayCancel ? [options.cancelled] : []),
  ]);
  try {
    signal.throwIfAborted();
    const gained = await perform(state, live, tools, { ...options, signal });
    return gained === "pending"
      ? { outcome: { kind: "pending" }, gained: {} }
      : { outcome: { kind: "done" }, gained };
  } catch (error) {
    if (error instanceof Fenced) throw error;
    // A library may throw an AbortError of its own; the reason of the abort says why.
    const reason: unknown = signal.aborted ? signal.reason : error;
    return { outcome: outcomeOf(toMirumojiError(reason)), gained: {} };
  }
}

async function perform(
  state: WorkingState,
  live: LiveJob,
  tools: StepTools,
  options: { signal: AbortSignal; report: (progress: StepProgress) => void },
): Promise<StoredFacts | "pending"> {
  const { checkpoint } = live;
  const job = {
    id: live.identity.jobId,
    job: live.request,
    enteredAt: checkpoint.enteredAt,
    signal: options.signal,
    report: options.report,
    save: async (facts: StoredFacts) => {
      await live.save(facts);
    },
  };
  if (state === "undo") {
    await undo({ ...job, facts: checkpoint.facts }, tools, checkpoint.unwindFrom ?? "createVolume");
    return {};
  }
  return await runTyped(state, job, checkpoint.facts, tools);
}

async function runTyped<S extends Exclude<WorkingState, "undo">>(
  state: S,
  job: Omit<Parameters<Step<S>>[0], "facts">,
  facts: StoredFacts,
  tools: StepTools,
): Promise<StoredFacts | "pending"> {
  // `decodeCheckpoint` and the machine see to it that a state is only entered with its facts.
  const step: Step<S> = STEPS[state];
  return await step({ ...job, facts: facts as FactsAt[S] }, tools);
}

/** Aborts an attempt that takes too long, by its own clock or the job's; disposed when the attempt is over. */
function attemptDeadline(live: LiveJob, tools: StepTools): Disposable & { signal: AbortSignal } {
  const { state, startedAt } = live.checkpoint;
  const controller = new AbortController();
  const timers: NodeJS.Timeout[] = [];
  const { attemptDeadlineMs } = MACHINE[state];
  if (attemptDeadlineMs !== null) {
    const late = new MirumojiError(
      "STEP_TIMED_OUT",
      `${state} took longer than ${attemptDeadlineMs / 1000} s`,
    );
    timers.push(setTimeout(() => controller.abort(late), attemptDeadlineMs));
  }
  if (state !== "undo" && state !== "deleteVolume") {
    const leftMs = startedAt + tools.jobDeadlineMs - tools.now();
    const over = deadlineExceeded(tools.jobDeadlineMs);
    timers.push(setTimeout(() => controller.abort(over), Math.min(Math.max(0, leftMs), LONGEST_TIMER_MS)));
  }
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const timer of timers) clearTimeout(timer);
    },
  };
}

/** Node's timers fire at once beyond this. An attempt is never that long. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
