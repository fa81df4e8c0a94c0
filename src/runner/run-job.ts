import { MirumojiError, toMirumojiError } from "../job/errors.ts";
import type { JobIdentity } from "../job/events.ts";
import { CRASH_BUDGET, decide, type Position } from "../job/machine.ts";
import { errorOf } from "../job/outcome.ts";
import { isJobType } from "../job/parse-request.ts";
import type { Delivery, DeliveryResult } from "../queue/consumer.ts";
import { act } from "./act.ts";
import { followCall } from "./call-follower.ts";
import { expiredClock } from "./clocks.ts";
import { Fenced, type LiveJob } from "./live-job.ts";
import { ProgressFeed } from "./progress-feed.ts";
import { type Attempt, runStep } from "./run-step.ts";
import type { RunnerTools } from "./runner-tools.ts";
import { refuse, takeUp } from "./take-up.ts";

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
    return error instanceof MirumojiError
      ? refuse(delivery, identity, error, tools)
      : abandon(identity, error, tools);
  }
  try {
    return await drive(live, delivery, tools);
  } catch (error) {
    if (!(error instanceof Fenced)) return abandon(identity, error, tools);
    tools.emit("job.fenced", { ...identity, state: live.checkpoint.state });
    return { kind: "fenced" };
  }
}

/**
 * What a job cannot do happened: Redis refused us, or there is a mistake in the runner. An error would make
 * BullMQ fail the job with nothing undone; left alone, its lease runs out and it is taken up again, as often
 * as the crash budget allows.
 */
function abandon(identity: JobIdentity, error: unknown, { emit }: RunnerTools): DeliveryResult {
  const { message } = toMirumojiError(error);
  emit("job.abandoned", { ...identity, message, cause: error });
  return { kind: "fenced" };
}

async function drive(live: LiveJob, delivery: Delivery, tools: RunnerTools): Promise<DeliveryResult> {
  const fence = new AbortController();
  const feed = new ProgressFeed(async (progress) => {
    if (!(await live.show(progress)))
      fence.abort(new MirumojiError("LEASE_LOST", "another worker owns the job now"));
  });
  const stops = [delivery.signal, fence.signal];
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
      const attempt = await tryStep(live, delivery, stops, tools, feed);
      const decision = decide(positionOf(live), attempt.outcome);
      if (decision.kind === "again") {
        await live.calm();
        continue;
      }
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
  stops: readonly AbortSignal[],
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
    stops,
    cancelled: delivery.cancelled.signal,
    report: feed.report,
    warn: (message) => tools.emit("step.warned", { ...live.identity, state, message }),
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

function positionOf({ checkpoint }: LiveJob): Position {
  const { state, attempt, lost, ending } = checkpoint;
  return { state, attempt, lost, ending: ending ?? "failed" };
}
