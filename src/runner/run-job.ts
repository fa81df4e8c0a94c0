import { isJobType } from "../job/contract.ts";
import { decodeCheckpoint, firstCheckpoint, livedSince } from "../job/checkpoint.ts";
import { MirumojiError, toMirumojiError } from "../job/errors.ts";
import type { JobIdentity } from "../job/events.ts";
import { decide } from "../job/machine.ts";
import { parseRequest } from "../job/parse-request.ts";
import { logLine, QUEUED_SUMMARY } from "../job/summary.ts";
import type { Delivery, DeliveryResult } from "../queue/delivery.ts";
import { applyDecision } from "./apply-decision.ts";
import { followCall } from "./call-follower.ts";
import { Fenced, JobRun, type RunnerTools } from "./job-run.ts";
import { leaveToNewer, newerNeed } from "./newer.ts";
import { runStep } from "./run-step.ts";

/** Runs one delivery of a job. */
export type RunJob = (delivery: Delivery, tools: RunnerTools) => Promise<DeliveryResult>;

/**
 * Runs one delivery from its taking up to its end here: read the request and the checkpoint, then step after step,
 * each one decided on and committed, until the job ends, waits or is handed back. Never throws for anything a job
 * can do.
 */
export async function runJob(delivery: Delivery, tools: RunnerTools): Promise<DeliveryResult> {
  const identity = identityOf(delivery);
  let run: JobRun;
  try {
    run = await takeUp(delivery, identity, tools);
  } catch (error) {
    if (!(error instanceof MirumojiError)) return abandon(identity, error, tools);
    const need = newerNeed(delivery, error, tools);
    return need === null
      ? refuse(delivery, identity, error, tools)
      : await leave(delivery, identity, need, tools);
  }
  try {
    return await stepUntilDone(run);
  } catch (error) {
    if (!(error instanceof Fenced)) return abandon(identity, error, tools);
    run.emit("job.fenced", { state: run.checkpoint.state });
    return { kind: "fenced" };
  }
}

function identityOf({ jobId, name, queue }: Delivery): JobIdentity {
  return { jobId, type: isJobType(name) && name === queue ? name : "unknown" };
}

/** The store of a job that no worker had before; not asked. */
const NOTHING_STORED = { record: null, cancelRequested: false, retriedAt: 0, crashesBefore: 0 };

/**
 * Reads the delivery, and the checkpoint where the job has one.
 *
 * @throws MirumojiError the codes of `parseRequest`, `CHECKPOINT_CORRUPT`
 */
async function takeUp(delivery: Delivery, identity: JobIdentity, tools: RunnerTools): Promise<JobRun> {
  const { name, queue } = delivery;
  if (name !== queue) {
    throw new MirumojiError(
      "JOB_TYPE_UNKNOWN",
      `a job named ${JSON.stringify(name)} is in the queue ${queue}; name it like its queue`,
    );
  }
  const request = parseRequest(name, delivery.data);
  const now = tools.now();
  // A job that was cancelled in the queue and retried was never taken either; only then it may be that old.
  const isNew = delivery.isFirst && now - delivery.submittedAt <= tools.queueWaitMs;
  const { record, cancelRequested, retriedAt, crashesBefore } = isNew
    ? NOTHING_STORED
    : await delivery.lease.load();
  if (cancelRequested) delivery.signals.cancel();
  const checkpoint =
    record === null
      ? firstCheckpoint(now, crashesBefore)
      : livedSince(decodeCheckpoint(record), Math.min(now, retriedAt));
  const submittedAt = Math.max(delivery.submittedAt, Math.min(now, retriedAt));
  const run = new JobRun({ identity, request, checkpoint, delivery: { ...delivery, submittedAt }, tools });
  run.emit("job.started", {
    waitedMs: Math.max(0, now - submittedAt),
    resumedAt: record === null ? null : checkpoint.state,
    inStateMs: Math.max(0, now - checkpoint.enteredAt),
  });
  return run;
}

async function stepUntilDone(run: JobRun): Promise<DeliveryResult> {
  let output: ReturnType<typeof followCall> = null;
  /** No progress of a step that is over may overtake what is written next. */
  const quieten = async () => {
    await output?.stop();
    output = null;
    await run.feed.stop();
  };
  try {
    for (;;) {
      output ??= followCall(run);
      const attempt = await runStep(run);
      const decision = decide(run.position, attempt.outcome);
      if (decision.kind !== "again") await quieten();
      const result = await applyDecision(run, decision, attempt);
      if (result !== null) return result;
    }
  } finally {
    await quieten();
  }
}

/** Leaves a job that is not for this version, unless it was cancelled before anybody had it. */
async function leave(
  delivery: Delivery,
  identity: JobIdentity,
  need: MirumojiError,
  tools: RunnerTools,
): Promise<DeliveryResult> {
  try {
    const left = await leaveToNewer(delivery, identity, need, tools);
    if (left !== "cancelled") return left;
    return refuse(delivery, identity, new MirumojiError("CANCELLED", "cancelled on request"), tools);
  } catch (error) {
    return abandon(identity, error, tools);
  }
}

/** Ends a job that cannot even be read. It has done nothing, so there is nothing to undo. */
function refuse(
  { lease }: Delivery,
  identity: JobIdentity,
  { code, message }: MirumojiError,
  { emit, now }: RunnerTools,
): DeliveryResult {
  const status = code === "CANCELLED" ? "cancelled" : "failed";
  emit("job.finished", { ...identity, status, ms: 0, code, message, report: null });
  const summary = { ...QUEUED_SUMMARY, state: status, status, error: { code, message } } as const;
  const log = logLine(now(), `${status}: ${code}: ${message}`);
  const settle = async () => await lease.settle({ volumeId: null, summary, log });
  return { kind: "failed", code, message, settle };
}

/**
 * Leaves a job alone after something that no job can cause: Redis refused us, or there is a mistake in the runner. An
 * error would make BullMQ fail the job with nothing undone; left alone, its lease runs out and it is taken up again, as
 * often as the crash budget allows.
 */
function abandon(identity: JobIdentity, error: unknown, { emit }: RunnerTools): DeliveryResult {
  const { message } = toMirumojiError(error);
  emit("job.abandoned", { ...identity, message, cause: error });
  return { kind: "fenced" };
}
