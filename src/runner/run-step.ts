import { MirumojiError, toMirumojiError } from "../job/errors.ts";
import type { FactsAt, StoredFacts } from "../job/facts.ts";
import { MACHINE, type WorkingState } from "../job/machine.ts";
import { outcomeOf, type Outcome } from "../job/outcome.ts";
import { call } from "../steps/call.ts";
import type { Step, StepTools } from "../steps/context.ts";
import { createVolume } from "../steps/create-volume.ts";
import { deleteVolume } from "../steps/delete-volume.ts";
import { download } from "../steps/download.ts";
import { undo } from "../steps/undo.ts";
import { upload } from "../steps/upload.ts";
import { attemptSignal, type Limit } from "./attempt-signal.ts";
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

type StepListeners = Pick<Parameters<Step<WorkingState>>[0], "report" | "warn">;

/** Runs one attempt of the job's step under its deadline and the stop signals. Only `Fenced` is thrown. */
export async function runStep(
  live: LiveJob,
  tools: StepTools,
  options: StepListeners & {
    /** Whatever stops the work on the job here. */
    stops: readonly AbortSignal[];
    cancelled: AbortSignal;
  },
): Promise<Attempt> {
  const { state } = live.checkpoint;
  // What ends a job, well or not, is not stopped half-way by a cancel.
  const mayCancel = state !== "undo" && state !== "deleteVolume";
  using attempt = attemptSignal(
    mayCancel ? [...options.stops, options.cancelled] : options.stops,
    limitsOf(live, tools),
  );
  const { signal } = attempt;
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
  options: StepListeners & { signal: AbortSignal },
): Promise<StoredFacts | "pending"> {
  const { checkpoint } = live;
  const job = {
    id: live.identity.jobId,
    job: live.request,
    enteredAt: checkpoint.enteredAt,
    signal: options.signal,
    report: options.report,
    warn: options.warn,
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

/** When an attempt takes too long, by its own clock and by the job's. */
function limitsOf(live: LiveJob, tools: StepTools): Limit[] {
  const { state, startedAt } = live.checkpoint;
  const limits: Limit[] = [];
  const { attemptDeadlineMs } = MACHINE[state];
  if (attemptDeadlineMs !== null) {
    const late = () =>
      new MirumojiError("STEP_TIMED_OUT", `${state} took longer than ${attemptDeadlineMs / 1000} s`);
    limits.push({ inMs: attemptDeadlineMs, reason: late });
  }
  if (state !== "undo" && state !== "deleteVolume") {
    const inMs = startedAt + tools.jobDeadlineMs - tools.now();
    limits.push({ inMs, reason: () => deadlineExceeded(tools.jobDeadlineMs) });
  }
  return limits;
}
