import type { Checkpoint } from "../job/checkpoint.ts";
import type { JobEvents, JobIdentity } from "../job/events.ts";
import type { CallParts } from "../job/facts.ts";
import { paidSeconds, sumOfParts } from "../job/receipt.ts";

/** The end of a call; `inputs`: of how many parts of a film it was; `parts`: of its time. */
type CallEnd = Omit<JobEvents["call.finished"], keyof JobIdentity | "paid"> & {
  readonly inputs?: number;
  readonly parts?: CallParts;
};

/** How a job's call ended when the job left the state in which it waited for it; null when it did not. */
export function callEnd(before: Checkpoint, next: Checkpoint, now: number): CallEnd | null {
  const { callId, callOpenedAt } = before.facts;
  const isStillAwaited = next.state === "call" && next.facts.callId === callId;
  if (before.state !== "call" || callId === undefined || isStillAwaited) return null;
  const totalMs = callOpenedAt === undefined ? null : Math.max(0, now - callOpenedAt);
  const { runSeconds } = next.facts;
  const isSame = next.facts.callId === callId;
  const inputs = (isSame ? next : before).facts.partInputs;
  if (inputs !== undefined) {
    const runMs = paidSeconds(inputs, now) * 1000;
    // One whose inputs have all ended did its work; parts that failed are called again.
    const isDone = next.state === "call" && inputs.every(({ seconds }) => seconds !== undefined);
    const outcome = isDone ? "succeeded" : callOutcome(next);
    const parts = sumOfParts(inputs.map(({ part }) => next.facts.parts?.[part]?.result?.seconds));
    return {
      callId,
      outcome,
      totalMs,
      runMs,
      inputs: inputs.length,
      ...(parts === undefined ? {} : { parts }),
    };
  }
  const runMs = runSeconds === undefined ? null : runSeconds * 1000;
  const parts = next.facts.result?.seconds;
  return { callId, outcome: callOutcome(next), totalMs, runMs, ...(parts === undefined ? {} : { parts }) };
}

function callOutcome({ state, ending, facts }: Checkpoint): CallEnd["outcome"] {
  // One that found that another function has to do the work did what it was called for.
  if (state === "download" || (state === "call" && facts.callId !== undefined)) return "succeeded";
  return state === "undo" ? (ending ?? "failed") : "lost";
}
