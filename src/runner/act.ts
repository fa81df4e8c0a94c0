import { MirumojiError, toMirumojiError } from "../job/errors.ts";
import type { StoredFacts } from "../job/facts.ts";
import {
  type Decision,
  type FinalState,
  fullJitterMs,
  isFinalState,
  type WorkingState,
} from "../job/machine.ts";
import { errorOf, type Outcome } from "../job/outcome.ts";
import type { Delivery, DeliveryResult } from "../queue/consumer.ts";
import { Fenced, type LiveJob } from "./live-job.ts";
import { logLine } from "./log-line.ts";
import type { Attempt } from "./run-step.ts";
import type { RunnerTools } from "./runner-tools.ts";

/** Carries out a decision; null means the job goes on here. */
export async function act(
  live: LiveJob,
  delivery: Delivery,
  tools: RunnerTools,
  decision: Exclude<Decision, { kind: "again" }>,
  attempt: Attempt,
): Promise<DeliveryResult | null> {
  const { state } = live.checkpoint;
  if (decision.kind === "move") {
    if (isFinalState(decision.to)) return finish(live, delivery, tools, decision.to, attempt.outcome);
    await moveOn(live, tools, decision.to, attempt.gained);
    return null;
  }
  const error = errorOf(attempt.outcome) ?? new MirumojiError("UNEXPECTED", "no error was given");
  switch (decision.kind) {
    case "rewind":
      await stopLostCall(live, tools, delivery.signal);
      await live.rewind(decision.to, error);
      return null;
    case "unwind":
      await live.unwind(decision, error);
      return null;
    case "retry": {
      const delayMs = fullJitterMs(decision.ceilingMs, tools.random());
      tools.emit("job.delayed", {
        ...live.identity,
        state,
        attempt: live.checkpoint.attempt,
        delayMs,
        code: error.code,
      });
      await live.retry(error, delayMs);
      return { kind: "delayed", delayMs };
    }
    case "slow":
      tools.emit("job.delayed", {
        ...live.identity,
        state,
        attempt: live.checkpoint.attempt,
        delayMs: decision.pauseMs,
        code: error.code,
      });
      return { kind: "slow", pauseMs: decision.pauseMs };
    case "release":
      if (error.code === "LEASE_LOST") throw new Fenced("the lease is lost");
      tools.emit("job.released", { ...live.identity, state, code: error.code });
      return { kind: "released" };
  }
}

/**
 * Leaves the state. A volume that could not be written down, because the lease is lost or Redis refused, is known
 * to nobody else. Should the write have been done after all, its job finds the volume gone and makes another.
 */
async function moveOn(
  live: LiveJob,
  tools: RunnerTools,
  to: WorkingState,
  gained: StoredFacts,
): Promise<void> {
  const known = live.checkpoint.facts.volumeId;
  try {
    await live.move(to, gained);
  } catch (error) {
    if (known === undefined && gained.volumeId !== undefined) {
      await tools.volumes.delete({ volumeId: gained.volumeId }).catch((problem: unknown) => {
        const { message } = toMirumojiError(problem);
        tools.emit("cleanup.failed", { ...live.identity, action: "deleteVolume", message });
      });
    }
    throw error;
  }
}

/** A call whose volume vanished may still run; it would only cost money. */
async function stopLostCall(live: LiveJob, tools: RunnerTools, signal: AbortSignal): Promise<void> {
  const { callId } = live.checkpoint.facts;
  if (callId === undefined) return;
  try {
    await tools.calls.cancel({ callId, terminateContainers: true, signal });
  } catch (error) {
    tools.emit("cleanup.failed", {
      ...live.identity,
      action: "cancelCall",
      message: toMirumojiError(error).message,
    });
  }
}

function finish(
  live: LiveJob,
  delivery: Delivery,
  tools: RunnerTools,
  status: FinalState,
  outcome: Outcome,
): DeliveryResult {
  const summary = live.finalSummary(status);
  const { facts, startedAt, failure, enteredAt, state, attempt } = live.checkpoint;
  const now = tools.now();
  // A volume that could not be deleted stays in the ledger: the reaper tries again.
  const volumeId = outcome.kind === "done" ? (facts.volumeId ?? null) : null;
  const leftover = errorOf(outcome);
  if (leftover !== null) {
    tools.emit("cleanup.failed", { ...live.identity, action: state, message: leftover.message });
  }
  tools.emit("job.moved", {
    ...live.identity,
    from: state,
    to: status,
    attempt,
    ms: now - enteredAt,
    volumeId: facts.volumeId ?? null,
    callId: facts.callId ?? null,
  });
  tools.emit("job.finished", {
    ...live.identity,
    status,
    ms: now - startedAt,
    code: failure?.code ?? null,
    message: failure?.message ?? null,
    report: summary.report ?? null,
  });
  const settle = async () => {
    await delivery.lease.settle({
      volumeId,
      summary,
      log: logLine(
        tools.now(),
        failure === undefined ? `${state} -> ${status}` : `${status}: ${failure.code}: ${failure.message}`,
      ),
    });
  };
  if (status === "completed") return { kind: "completed", summary, settle };
  return { kind: "failed", code: failure?.code ?? "UNEXPECTED", message: failure?.message ?? "", settle };
}
