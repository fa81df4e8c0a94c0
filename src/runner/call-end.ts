import type { Checkpoint } from "../job/checkpoint.ts";
import type { JobEvents, JobIdentity } from "../job/events.ts";

type CallEnd = Omit<JobEvents["call.finished"], keyof JobIdentity>;

/** What became of a job's call when the job left the state in which it waited for it; null when it did not. */
export function callEnd(before: Checkpoint, next: Checkpoint, now: number): CallEnd | null {
  const { callId, callOpenedAt } = before.facts;
  if (
    before.state !== "call" ||
    callId === undefined ||
    (next.facts.callId === callId && next.state === "call")
  ) {
    return null;
  }
  const { runSeconds } = next.facts;
  return {
    callId,
    outcome: outcomeOf(next),
    totalMs: callOpenedAt === undefined ? null : Math.max(0, now - callOpenedAt),
    runMs: runSeconds === undefined ? null : runSeconds * 1000,
  };
}

function outcomeOf({ state, ending }: Checkpoint): CallEnd["outcome"] {
  if (state === "download") return "succeeded";
  return state === "undo" ? (ending ?? "failed") : "lost";
}
