import { MirumojiError, toMirumojiError } from "../job/errors.ts";
import type { StoredFacts } from "../job/facts.ts";
import {
  decide,
  type Decision,
  type FinalState,
  fullJitterMs,
  isFinalState,
  type WorkingState,
} from "../job/machine.ts";
import { errorOf, type Outcome, outcomeOf } from "../job/outcome.ts";
import { logLine } from "../job/summary.ts";
import type { DeliveryResult } from "../queue/delivery.ts";
import { Fenced, type JobRun } from "./job-run.ts";
import { type Attempt, judged, keptOf } from "./run-step.ts";

/** Carries out a decision; null means the job goes on here. */
export async function applyDecision(
  run: JobRun,
  decision: Decision,
  { outcome, gained }: Attempt,
): Promise<DeliveryResult | null> {
  const { state, attempt } = run.checkpoint;
  const error = errorOf(outcome) ?? new MirumojiError("UNEXPECTED", "no error was given");
  const { code } = error;
  switch (decision.kind) {
    case "move":
      if (isFinalState(decision.to)) return await finish(run, decision.to, outcome);
      await moveOn(run, decision.to, gained);
      return null;
    case "wait":
    case "retry": {
      const delayMs = fullJitterMs(decision.ceilingMs, run.tools.random());
      run.emit("job.delayed", { state, attempt, delayMs, code });
      await (decision.kind === "wait" ? run.wait(error, delayMs) : run.retry(error, delayMs));
      if (!heedsCancel(run)) return { kind: "delayed", delayMs, heedsCancel: false };
      // Heard with this very write: it costs money until it is heeded.
      return run.delivery.signals.cancelled.aborted ? null : { kind: "delayed", delayMs, heedsCancel: true };
    }
    case "again":
      await run.resetAttempts();
      return null;
    case "rewind": {
      const problem = await cancelLostCall(run);
      if (problem !== null) return await applyDecision(run, decide(run.position, problem), failed(problem));
      await run.rewind(decision.to, error);
      return null;
    }
    case "unwind":
      await run.unwind(decision, error);
      return null;
    case "release":
    case "pause":
      if (code === "LEASE_LOST") throw new Fenced("the lease is lost");
      // The next worker needs to know since when the job's time runs, also where it has earned nothing yet.
      if (code !== "INTERRUPTED") await run.wait(error);
      run.emit("job.released", { state, code });
      return { kind: "released" };
  }
}

/**
 * Enters the next state. A volume that could not be written down, because the lease is lost or Redis refused, is known
 * to nobody else, so it is deleted. Should the write have been done after all, its job finds the volume gone and makes
 * another. A job whose output another one is writing ends here, before anything is paid for.
 */
async function moveOn(run: JobRun, to: WorkingState, gained: StoredFacts): Promise<void> {
  const { volumeId: known } = run.checkpoint.facts;
  try {
    await run.move(to, gained);
  } catch (error) {
    const { volumeId } = gained;
    if (known === undefined && volumeId !== undefined) {
      await attemptCleanup(run, "deleteVolume", async () => await run.tools.volumes.delete({ volumeId }));
    }
    if (error instanceof MirumojiError && error.code === "OUTPUT_CLAIMED") {
      await run.unwind({ kind: "unwind", ending: "failed" }, error);
      return;
    }
    throw error;
  }
}

/** Whether a cancel ends the job where it stands: what is being undone takes its time all the same. */
function heedsCancel({ checkpoint }: JobRun): boolean {
  return checkpoint.state !== "undo" && checkpoint.state !== "deleteVolume";
}

function failed(outcome: Outcome): Attempt {
  return { outcome, gained: {} };
}

/**
 * Cancels a call whose volume vanished, or that the server seems to have lost: should it run, it would only cost
 * money. Trouble that may pass is the outcome, and the call is not forgotten; what the server refuses for good is left.
 */
async function cancelLostCall(run: JobRun): Promise<Outcome | null> {
  const { callId } = run.checkpoint.facts;
  if (callId === undefined) return null;
  const signal = run.delivery.signals.stopped;
  try {
    await run.tools.calls.cancel({ callId, terminateContainers: true, signal });
    return null;
  } catch (thrown) {
    const error = toMirumojiError(thrown);
    const outcome = await judged(outcomeOf(error), run);
    if (outcome.kind !== "permanent" && outcome.kind !== "lost") return outcome;
    run.emit("cleanup.failed", { action: "cancelCall", message: error.message });
    return null;
  }
}

/** Tries a clean-up that must not hold up the job; where it fails, the reaper has to do it. */
async function attemptCleanup(run: JobRun, action: string, clean: () => Promise<void>): Promise<void> {
  try {
    await clean();
  } catch (problem) {
    run.emit("cleanup.failed", { action, message: toMirumojiError(problem).message });
  }
}

/** Ends the job: tells its events, and gives BullMQ its result and the clearing of its books. */
async function finish(run: JobRun, status: FinalState, outcome: Outcome): Promise<DeliveryResult> {
  const { facts, startedAt, failure, enteredAt, state, attempt } = run.checkpoint;
  const kept = status === "failed" && outcome.kind === "done" ? keptOf(run) : null;
  const isDeleted = outcome.kind === "done" && kept === null;
  const summary = run.finalSummary(status, { volumeDeleted: isDeleted });
  const now = run.tools.now();
  if (status !== "completed" && isDeleted) await run.showVolumeDeleted();
  const leftover = errorOf(outcome);
  if (leftover !== null) run.emit("cleanup.failed", { action: state, message: leftover.message });
  run.emit("job.moved", {
    from: state,
    to: status,
    attempt,
    ms: now - enteredAt,
    volumeId: facts.volumeId ?? null,
    callId: facts.callId ?? null,
  });
  const { code = null, message = null } = failure ?? {};
  run.emit("job.finished", { status, ms: now - startedAt, code, message, report: summary.report ?? null });
  // A volume that could not be deleted stays in the ledger: the reaper tries again.
  const volumeId = isDeleted ? (facts.volumeId ?? null) : null;
  const words = failure === undefined ? `${state} -> ${status}` : `${status}: ${code}: ${message}`;
  const settle = async () =>
    await run.delivery.lease.settle({
      volumeId,
      summary,
      log: logLine(run.tools.now(), words),
      targets: facts.targets,
      ...(kept === null ? {} : { kept: { checkpoint: kept, forMs: run.tools.keepFailedMs ?? 0 } }),
    });
  if (status === "completed") return { kind: "completed", summary, settle };
  return { kind: "failed", code: code ?? "UNEXPECTED", message: message ?? "", settle };
}
