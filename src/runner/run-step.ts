import { type Checkpoint, keptForRetry } from "../job/checkpoint.ts";
import { isPlatformTrouble, toMirumojiError } from "../job/errors.ts";
import type { FactsAt, StoredFacts } from "../job/facts.ts";
import type { WorkingState } from "../job/machine.ts";
import { errorOf, outcomeOf, type Outcome } from "../job/outcome.ts";
import { call } from "../steps/call.ts";
import type { CallSize, Step, StepJob, StepTools } from "../steps/context.ts";
import { createVolume } from "../steps/create-volume.ts";
import { deleteVolume } from "../steps/delete-volume.ts";
import { download } from "../steps/download.ts";
import { undo } from "../steps/undo.ts";
import { upload } from "../steps/upload.ts";
import { Fenced, type JobRun } from "./job-run.ts";
import { attemptSignal, diedChecking, limitReached } from "./limits.ts";

/** Every state of the path has its step; the compiler checks what each must give. */
const STEPS: { [S in Exclude<WorkingState, "undo">]: Step<S> } = {
  createVolume,
  upload,
  call,
  download,
  deleteVolume,
};

/** An attempt's outcome, for `decide`, and the facts it earned. */
export interface Attempt {
  readonly outcome: Outcome;
  readonly gained: StoredFacts;
}

/** Makes one attempt at the step of the job's state, unless the job has reached a limit. Throws only `Fenced`. */
export async function runStep(run: JobRun): Promise<Attempt> {
  const limit = limitReached(run);
  if (limit !== null) return { outcome: { kind: "permanent", error: limit }, gained: {} };
  const death = diedChecking(run);
  if (death !== null) return { outcome: outcomeOf(death), gained: {} };
  const { state, attempt } = run.checkpoint;
  const startedAt = run.tools.now();
  run.emit("step.started", { state, attempt });
  const made = await makeAttempt(run);
  if (made.outcome.kind === "pending") return made;
  const error = errorOf(made.outcome);
  run.emit("step.finished", {
    state,
    attempt,
    outcome: made.outcome.kind,
    ms: run.tools.now() - startedAt,
    code: error?.code ?? null,
    message: error?.message ?? null,
    cause: error?.cause ?? null,
  });
  return made;
}

async function makeAttempt(run: JobRun): Promise<Attempt> {
  using attempt = attemptSignal(run);
  const { signal } = attempt;
  try {
    signal.throwIfAborted();
    const gained = await perform(run, signal);
    return gained === "pending"
      ? { outcome: { kind: "pending" }, gained: {} }
      : { outcome: { kind: "done" }, gained };
  } catch (error) {
    if (error instanceof Fenced) throw error;
    // A library may throw an AbortError of its own; the reason of the abort says why.
    const reason: unknown = signal.aborted ? signal.reason : error;
    return { outcome: await judged(outcomeOf(toMirumojiError(reason)), run), gained: {} };
  }
}

/** Counts trouble with Modal as the job's own where only its request is what fails. */
export async function judged(outcome: Outcome, { tools }: JobRun): Promise<Outcome> {
  const error = errorOf(outcome);
  if (error === null || !isPlatformTrouble(error)) return outcome;
  return (await tools.platform.report(error)) ? outcome : { kind: "transient", error };
}

async function perform(run: JobRun, signal: AbortSignal): Promise<StoredFacts | "pending"> {
  const { state, facts, enteredAt, unwindFrom = "createVolume" } = run.checkpoint;
  const job = {
    id: run.identity.jobId,
    request: run.request,
    enteredAt,
    signal,
    report: run.feed.report,
    warn: (message: string) => run.emit("step.warned", { state, message }),
    reserve: async (size?: CallSize) => await run.reserve(size),
    speed: async () => await run.delivery.lease.speed(),
    save: async (earned: StoredFacts) => await run.save(earned),
  };
  const tools = confirming(run, signal);
  if (state !== "undo") return await runTyped(state, job, facts, tools);
  await undo({ ...job, facts }, tools, { from: unwindFrom, keepsVolume: keptOf(run) !== null });
  return {};
}

/**
 * Acts that cannot be undone (a call is paid for, a volume is gone) wait until the checkpoint survives a failover of Redis.
 * A call that a job was taken up for is not paid before its volume is seen alive: nobody may have kept it so.
 */
function confirming(run: JobRun, signal: AbortSignal): StepTools {
  const { tools, delivery } = run;
  const { calls, partCalls, volumes } = tools;
  let isAlive = !run.isTakenUp;
  const alive = async () => {
    const { volumeId } = run.checkpoint.facts;
    if (isAlive || volumeId === undefined) return;
    await volumes.heartbeat({ volumeId, signal });
    isAlive = true;
  };
  const confirmed = async (act: () => Promise<void>) => {
    await unlessAborted(delivery.lease.confirm(), signal);
    await act();
  };
  const guarded = <O, R, S>(kind: {
    open: (options: O) => Promise<R>;
    start: (options: S) => Promise<void>;
  }) => ({
    open: async (options: O) => {
      await alive();
      return await kind.open(options);
    },
    start: async (options: S) => {
      await alive();
      await confirmed(async () => await kind.start(options));
    },
  });
  return {
    ...tools,
    calls: { ...calls, ...guarded(calls) },
    partCalls: { ...partCalls, ...guarded(partCalls) },
    volumes: {
      ...volumes,
      delete: async (volume) => await confirmed(async () => await volumes.delete(volume)),
    },
  };
}

/** Waits no longer than until the signal aborts, since Redis may be away for long. */
async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener("abort", stop);
  });
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Where the job goes on if it is retried soon, or null when what it did is undone. */
export function keptOf({ checkpoint, tools }: JobRun): Checkpoint | null {
  return (tools.keepFailedMs ?? 0) > 0 ? keptForRetry(checkpoint, tools.now()) : null;
}

async function runTyped<S extends Exclude<WorkingState, "undo">>(
  state: S,
  job: Omit<StepJob<S>, "facts">,
  facts: StoredFacts,
  tools: StepTools,
): Promise<StoredFacts | "pending"> {
  // `decodeCheckpoint` and the machine see to it that a state is only entered with its facts.
  const step: Step<S> = STEPS[state];
  return await step({ ...job, facts: facts as FactsAt[S] }, tools);
}
