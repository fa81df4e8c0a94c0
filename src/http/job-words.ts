import { PATH } from "../job/machine.ts";
import { fileNameOf } from "../job/places.ts";
import { type JobSummary, summarySchema } from "../job/summary.ts";

/** Display name of a job: its file and its state. */
export function jobTitle(job: {
  name: string;
  data: unknown;
  progress: unknown;
  failedReason?: string;
  finishedOn?: number | null;
}): string {
  return `${inputName(job.data) ?? job.name} · ${stateOf(job)}`;
}

/** Reads the summary; a job that no worker has touched has none. */
function stateOf({ progress, failedReason, finishedOn }: Parameters<typeof jobTitle>[0]): string {
  const { data: summary } = summarySchema.safeParse(progress);
  if (summary !== undefined) return summary.state;
  if (finishedOn === undefined || finishedOn === null) return "queued";
  if (failedReason === undefined || failedReason === "") return "completed";
  return failedReason.startsWith("CANCELLED:") ? "cancelled" : "failed";
}

/** Progress of a job in percent: every state counts the same, and the running one by its own progress. */
export function percentDone(
  summary: Pick<JobSummary, "state" | "status"> & { step?: JobSummary["step"] | null },
): number {
  if (summary.status === "completed") return 100;
  const index = PATH.findIndex((state) => state === summary.state);
  if (index === -1) return 0;
  return Math.round(((index + fractionOf(summary.step)) / PATH.length) * 100);
}

/** Fraction of the running state, 0 to 1. */
export function fractionOf(step: JobSummary["step"] | null): number {
  if (step?.fraction !== undefined) return step.fraction;
  if (step?.doneBytes === undefined || step.totalBytes === undefined || step.totalBytes === 0) return 0;
  return Math.min(1, step.doneBytes / step.totalBytes);
}

function inputName(data: unknown): string | null {
  if (typeof data !== "object" || data === null || !("input" in data)) return null;
  return typeof data.input === "string" ? fileNameOf(data.input) : null;
}
