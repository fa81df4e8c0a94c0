import { decodeCheckpoint, firstCheckpoint } from "../job/checkpoint.ts";
import { MirumojiError, toMirumojiError } from "../job/errors.ts";
import type { EmitJobEvent, JobIdentity } from "../job/events.ts";
import {
  CRASH_BUDGET,
  type Decision,
  decide,
  type FinalState,
  fullJitterMs,
  isFinalState,
  type Position,
  type WorkingState,
} from "../job/machine.ts";
import type { StoredFacts } from "../job/facts.ts";
import type { Outcome } from "../job/outcome.ts";
import { isJobType, parseRequest } from "../job/parse-request.ts";
import { QUEUED_SUMMARY } from "../job/summary.ts";
import type { Delivery, DeliveryResult } from "../queue/consumer.ts";
import type { StepTools } from "../steps/context.ts";
import { followCall } from "./call-follower.ts";
import { expiredClock } from "./clocks.ts";
import { Fenced, LiveJob } from "./live-job.ts";
import { ProgressFeed } from "./progress-feed.ts";
import { type Attempt, runStep } from "./run-step.ts";

/** What the runner needs beside the steps' tools. */
export interface RunnerTools extends StepTools {
  readonly emit: EmitJobEvent;
  /** In [0, 1). */
  readonly random: () => number;
}

/**
 * Runs one delivery: load the checkpoint, run the step, decide, commit, until the job ends, waits or is
 * handed back. Never throws for anything a job can do.
 */
export async function runJob(delivery: Delivery, tools: RunnerTools): Promise<DeliveryResult> {
  const identity: JobIdentity = {
    jobId: delivery.jobId,
    type: isJobType(delivery.name) && delivery.name === delivery.queue ? delivery.name : "unknown",
  };
  let live: LiveJob;
  try {
    live = await takeUp(delivery, identity, tools);
  } catch (error) {
    return refuse(delivery, identity, toMirumojiError(error), tools);
  }
  try {
    return await drive(live, delivery, tools);
  } catch (error) {
    if (!(error instanceof Fenced)) throw error;
    tools.emit("job.fenced", { ...identity, state: live.checkpoint.state });
    return { kind: "fenced" };
  }
}

/** What the first worker of a job would find; not asked for. */
const NOTHING_STORED = { record: null, cancelRequested: false };

async function takeUp(delivery: Delivery, identity: JobIdentity, tools: RunnerTools): Promise<LiveJob> {
  const { emit, now } = tools;
  if (delivery.name !== delivery.queue) {
    throw new MirumojiError(
      "JOB_TYPE_UNKNOWN",
      `a job named ${JSON.stringify(delivery.name)} is in the queue ${delivery.queue}; name it like its queue`,
    );
  }
  const request = parseRequest(delivery.name, delivery.data);
  const { record: stored, cancelRequested } = delivery.isFirst ? NOTHING_STORED : await delivery.lease.load();
  if (cancelRequested) delivery.cancelled.abort(new MirumojiError("CANCELLED", "cancelled on request"));
  const checkpoint = stored === null ? firstCheckpoint(now(), delivery.crashes) : decodeCheckpoint(stored);
  emit("job.started", {
    ...identity,
    waitedMs: Math.max(0, now() - delivery.submittedAt),
    resumedAt: stored === null ? null : checkpoint.state,
  });
  return new LiveJob({
    identity,
    request,
    checkpoint,
    lease: delivery.lease,
    queue: delivery.queue,
    now,
    emit,
    onCancel: () => delivery.cancelled.abort(new MirumojiError("CANCELLED", "cancelled on request")),
  });
}

/** Ends a job that cannot even be read. It has done nothing, so there is nothing to undo. */
function refuse(
  delivery: Delivery,
  identity: JobIdentity,
  error: MirumojiError,
  { emit }: RunnerTools,
): DeliveryResult {
  const { code, message } = error;
  emit("job.finished", { ...identity, status: "failed", ms: 0, code, message, report: null });
  return {
    kind: "failed",
    code,
    message,
    settle: async () => {
      await delivery.lease.settle({
        volumeId: null,
        summary: { ...QUEUED_SUMMARY, state: "failed", status: "failed", error: { code, message } },
        log: `failed: ${code}: ${message}`,
      });
    },
  };
}

async function drive(live: LiveJob, delivery: Delivery, tools: RunnerTools): Promise<DeliveryResult> {
  const fence = new AbortController();
  const feed = new ProgressFeed(async (progress) => {
    if (!(await live.show(progress)))
      fence.abort(new MirumojiError("LEASE_LOST", "another worker owns the job now"));
  });
  const signal = AbortSignal.any([delivery.signal, fence.signal]);
  let follower: ReturnType<typeof followCall> | null = null;
  try {
    for (;;) {
      const { state, facts } = live.checkpoint;
      if (state === "call" && facts.callId !== undefined) {
        follower ??= followCall(tools, {
          identity: live.identity,
          appId: facts.appId ?? "",
          callId: facts.callId,
          emit: tools.emit,
          report: feed.report,
        });
      }
      const attempt = await tryStep(live, { ...delivery, signal }, tools, feed);
      const decision = decide(positionOf(live), attempt.outcome);
      if (decision.kind === "again") continue;
      await follower?.stop();
      follower = null;
      await feed.stop();
      const result = await act(live, delivery, tools, decision, attempt);
      if (result !== null) return result;
    }
  } finally {
    await follower?.stop();
    await feed.stop();
  }
}

async function tryStep(
  live: LiveJob,
  delivery: Delivery,
  tools: RunnerTools,
  feed: ProgressFeed,
): Promise<Attempt> {
  const { state, attempt } = live.checkpoint;
  const started = tools.now();
  const base = { ...live.identity, state, attempt };
  const crashes = delivery.crashes - live.checkpoint.crashesBefore;
  if (crashes > CRASH_BUDGET && state !== "undo") {
    const error = new MirumojiError(
      "CRASH_BUDGET_SPENT",
      `workers died or stalled on this job ${crashes} times`,
    );
    return { outcome: { kind: "permanent", error }, gained: {} };
  }
  const expired = expiredClock(live.checkpoint, delivery.submittedAt, tools);
  if (expired !== null) return { outcome: { kind: "permanent", error: expired }, gained: {} };
  tools.emit("step.started", base);
  const result = await runStep(live, tools, {
    signal: delivery.signal,
    cancelled: delivery.cancelled.signal,
    report: feed.report,
  });
  if (result.outcome.kind === "pending") return result;
  const error = errorOf(result.outcome);
  tools.emit("step.finished", {
    ...base,
    outcome: result.outcome.kind,
    ms: tools.now() - started,
    code: error?.code ?? null,
    message: error?.message ?? null,
    cause: error?.cause ?? null,
  });
  return result;
}

/** Carries out a decision; null means the job goes on here. */
async function act(
  live: LiveJob,
  delivery: Delivery,
  tools: RunnerTools,
  decision: Exclude<Decision, { kind: "again" }>,
  attempt: Attempt,
): Promise<DeliveryResult | null> {
  const error = errorOf(attempt.outcome) ?? new MirumojiError("UNEXPECTED", "no error was given");
  const { state } = live.checkpoint;
  switch (decision.kind) {
    case "move":
      if (isFinalState(decision.to)) return finish(live, delivery, tools, decision.to, attempt.outcome);
      await moveOn(live, tools, decision.to, attempt.gained);
      return null;
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

/** A volume that was made under a lost lease is known to nobody else. */
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
    if (error instanceof Fenced && known === undefined && gained.volumeId !== undefined) {
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
  const { facts, startedAt, failure, enteredAt, state } = live.checkpoint;
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
      log: failure === undefined ? `${state} -> ${status}` : `${status}: ${failure.code}: ${failure.message}`,
    });
  };
  if (status === "completed") return { kind: "completed", summary, settle };
  return { kind: "failed", code: failure?.code ?? "UNEXPECTED", message: failure?.message ?? "", settle };
}

function positionOf({ checkpoint }: LiveJob): Position {
  const { state, attempt, lost, ending } = checkpoint;
  return { state, attempt, lost, ending: ending ?? "failed" };
}

function errorOf(outcome: Outcome): MirumojiError | null {
  return "error" in outcome ? outcome.error : null;
}
