import type { JobState as QueueState } from "bullmq";
import { z } from "zod";
import { shownPlace } from "../job/places.ts";
import {
  type JobStatus,
  type JobSummary,
  type JobView,
  isFinal,
  QUEUED_SUMMARY,
  summarySchema,
} from "../job/summary.ts";

/** BullMQ's record of a job, as far as it is shown; BullMQ's own `Job` is one. */
export interface JobRecord {
  readonly id?: string | undefined;
  readonly name: string;
  readonly data: unknown;
  readonly progress: unknown;
  readonly returnvalue: unknown;
  readonly failedReason?: string | undefined;
  readonly timestamp: number;
  readonly processedOn?: number | undefined;
  readonly finishedOn?: number | undefined;
}

/** A job as people and programs see it, from what BullMQ keeps. Never throws on another program's garbage. */
export function viewOf(job: JobRecord, queueState: QueueState | "unknown"): JobView {
  const summary = summaryOf(job, queueState);
  return {
    id: job.id ?? "",
    type: job.name,
    state: summary.state,
    status: summary.status,
    ...labelsOf(job.data),
    outputs: summary.outputs,
    error: summary.error,
    states: summary.states,
    step: summary.step ?? null,
    report: summary.report ?? null,
    receipt: summary.receipt ?? null,
    submittedAt: job.timestamp,
    startedAt: summary.startedAt ?? job.processedOn ?? null,
    finishedAt: job.finishedOn ?? null,
  };
}

function summaryOf(job: JobRecord, queueState: QueueState | "unknown"): JobSummary {
  const progress = read(job.progress);
  if (queueState === "completed") {
    const returned = read(job.returnvalue);
    return returned ?? { ...(progress ?? QUEUED_SUMMARY), state: "completed", status: "completed" };
  }
  if (queueState === "failed") {
    if (progress !== null && isFinal(progress.status)) return progress;
    return failedWithoutUs(progress, job.failedReason);
  }
  // A finished job that an operator retried waits with the summary of its first life.
  if (progress === null || isFinal(progress.status)) {
    return queueState === "active"
      ? { ...QUEUED_SUMMARY, state: "createVolume", status: "running" }
      : QUEUED_SUMMARY;
  }
  return progress;
}

/** The end of a job whose last summary was never written: the reason is `CODE: message`. */
function failedWithoutUs(progress: JobSummary | null, reason: string | undefined): JobSummary {
  const [, code, message] = /^([A-Z_]+): ([\s\S]*)$/u.exec(reason ?? "") ?? [
    null,
    "UNEXPECTED",
    reason ?? "",
  ];
  const status: JobStatus = code === "CANCELLED" ? "cancelled" : "failed";
  return {
    ...(progress ?? QUEUED_SUMMARY),
    state: status,
    status,
    error: { code: code ?? "UNEXPECTED", message: message ?? "" },
  };
}

function read(value: unknown): JobSummary | null {
  const parsed = summarySchema.safeParse(value);
  return parsed.success ? parsed.data : null;
}

const labelsSchema = z.object({
  input: z.string().transform(shownPlace).nullable().catch(null),
  tenant: z.string().nullable().catch(null),
  tags: z.array(z.string()).catch([]),
});

/** The parts of a request that are shown. What is not readable counts as not there. */
export function labelsOf(data: unknown): z.output<typeof labelsSchema> {
  return labelsSchema.catch({ input: null, tenant: null, tags: [] }).parse(data);
}

/** Null for what is not there or not JSON: what other programs wrote may be anything. */
export function parseJson(text: string | null | undefined): unknown {
  try {
    return JSON.parse(text ?? "null") as unknown;
  } catch {
    return null;
  }
}
