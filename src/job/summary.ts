import { z } from "zod";
import { type Checkpoint, failureSchema, visitsUntil } from "./checkpoint.ts";
import { PARTS_STAGE, partsProgress } from "./parts-progress.ts";
import { type Receipt, receiptOf, receiptSchema } from "./receipt.ts";
import {
  type EditReport,
  editSchema,
  outputFileSchema,
  parallelSchema,
  type RemoteResult,
  type StoredFacts,
  trackSchema,
} from "./facts.ts";

const count = z.number().nonnegative();

/** The public status of a job. BullMQ has no `cancelled`: it is a failed job with our code. */
export const JOB_STATUSES = ["queued", "running", "completed", "failed", "cancelled"] as const;
export type JobStatus = (typeof JOB_STATUSES)[number];

/** Time spent in a state; the last one is still running while the job is. */
const stateTimeSchema = z.object({ state: z.string(), ms: count, attempts: count });

/** Progress of the running state: bytes of a transfer, or the handler's own fraction. */
export const stepProgressSchema = z.object({
  doneBytes: count.optional(),
  totalBytes: count.optional(),
  bytesPerSecond: count.optional(),
  /** Of the state, 0 to 1. */
  fraction: z.number().min(0).max(1).optional(),
  /** Stage of the handler: download, prepare, transcribe, convert, upload. */
  stage: z.string().optional(),
  etaSeconds: count.optional(),
});
export type StepProgress = z.output<typeof stepProgressSchema>;

/** Report of a finished job on its work. */
const reportSchema = z.object({
  engine: z.string(),
  /** The speech model, the language that was spoken, and how sure the engine is of it where it had to find out. */
  model: z.string().optional(),
  language: z.string().optional(),
  languageProbability: z.number().optional(),
  mediaSeconds: count,
  /** How much of the media is speech, and how many segments were dropped because nobody said them. */
  speechSeconds: count.optional(),
  droppedSegments: count.optional(),
  gpuSeconds: count,
  inputBytes: count,
  /** Bytes that travelled, and how many fewer they are than the input has. */
  sentBytes: count,
  savedBytes: count.default(0),
  /** Whether the audio track was sent in the place of the input. */
  audioOnly: z.boolean().default(false),
  /** The earlier job whose transcript of the same sound was taken. */
  cachedFrom: z.string().optional(),
  /** How a film was spread over containers; absent where nobody asked for more than one. */
  parallel: parallelSchema.optional(),
  /** Tracks of the input that were used, and why. */
  tracks: z.array(trackSchema).default([]),
  /** Work of the language model on the text, and its cost. */
  edit: editSchema.omit({ warnings: true }).optional(),
  warnings: z.array(z.string()),
});
export type JobReport = z.output<typeof reportSchema>;

/** Public summary of a job, while it runs and after; kept as BullMQ's job progress, where Bull Board shows it. */
export const summarySchema = z.object({
  v: z.literal(1),
  state: z.string(),
  status: z.enum(JOB_STATUSES),
  startedAt: count.optional(),
  states: z.array(stateTimeSchema),
  step: stepProgressSchema.optional(),
  outputs: z.array(outputFileSchema),
  report: reportSchema.optional(),
  receipt: receiptSchema.optional(),
  error: failureSchema.nullable(),
});
export type JobSummary = z.output<typeof summarySchema>;

const time = z.int().nonnegative().describe("Epoch milliseconds.");

/** A job as `status --json`, the SDK and the HTTP API show it. */
export const jobViewSchema = z.object({
  id: z.string(),
  type: z.string().describe("The job type; another word when some other program queued it."),
  state: z.string().describe("Where it stands in the state machine."),
  status: summarySchema.shape.status,
  input: z.string().nullable(),
  tenant: z.string().nullable(),
  tags: z.array(z.string()),
  outputs: summarySchema.shape.outputs,
  error: summarySchema.shape.error,
  states: summarySchema.shape.states,
  step: stepProgressSchema.nullable().describe("Progress within the state."),
  report: reportSchema.nullable(),
  receipt: receiptSchema.nullable().describe("Expenses so far; null before anything was sent."),
  submittedAt: time,
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
});
export type JobView = Readonly<z.output<typeof jobViewSchema>>;

/** The summary of a job that no worker has touched. */
export const QUEUED_SUMMARY: JobSummary = {
  v: 1,
  state: "queued",
  status: "queued",
  states: [],
  outputs: [],
  error: null,
};

/** Whether nothing will happen to the job any more. */
export function isFinal(status: JobStatus): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

/** Summary of a live job, from its checkpoint. */
export function summaryOf(
  checkpoint: Checkpoint,
  { status, now, step }: { status: JobStatus; now: number; step?: StepProgress },
): JobSummary {
  const { facts } = checkpoint;
  const known = step ?? stepOfParts(checkpoint);
  return {
    v: 1,
    state: checkpoint.state,
    status,
    startedAt: checkpoint.startedAt,
    states: visitsUntil(checkpoint, now),
    ...(known === undefined ? {} : { step: known }),
    outputs: facts.outputs ?? [],
    ...(facts.result === undefined ? {} : { report: reportOf(facts.result, facts) }),
    ...(facts.volumeId === undefined && checkpoint.calls === undefined
      ? {}
      : { receipt: expensesOf(checkpoint) }),
    error: checkpoint.failure ?? null,
  };
}

/** Where the parts of a film are, until the containers say more. */
function stepOfParts({ state, facts: { parts } }: Checkpoint): StepProgress | undefined {
  if (state !== "call" || parts === undefined) return undefined;
  return { stage: PARTS_STAGE, fraction: partsProgress(parts) };
}

function reportOf(result: RemoteResult, facts: StoredFacts): JobReport {
  const {
    inputBytes = 0,
    sentBytes = 0,
    audioOnly = false,
    inputTracks = [],
    inputWarnings = [],
    edit,
  } = facts;
  const { engine, model, language, languageProbability, speechSeconds, droppedSegments } = result;
  return {
    engine,
    ...defined({ model, language, languageProbability, speechSeconds, droppedSegments }),
    mediaSeconds: result.mediaSeconds,
    gpuSeconds: result.gpuSeconds,
    inputBytes,
    sentBytes,
    savedBytes: savedBytes(inputBytes, sentBytes),
    audioOnly,
    tracks: [...inputTracks, ...(result.tracks ?? [])],
    ...defined({ cachedFrom: "cachedFrom" in result ? result.cachedFrom : undefined }),
    ...defined({ parallel: facts.parallel, edit: edit === undefined ? undefined : withoutWarnings(edit) }),
    warnings: [...inputWarnings, ...result.warnings, ...(edit?.warnings ?? [])],
  };
}

function expensesOf({ calls = [], facts, state, unwindFrom }: Checkpoint): Receipt {
  const { inputBytes = 0, sentBytes = 0, outputs = [], volumeId = null, callId = null } = facts;
  // The end of a call that is cancelled is booked before the server has heard of it.
  const isOpen = state === "call" || (state === "undo" && unwindFrom === "call");
  return receiptOf(calls, {
    sentBytes,
    savedBytes: savedBytes(inputBytes, sentBytes),
    receivedBytes: outputs.reduce((sum, { bytes }) => sum + bytes, 0),
    volumeId,
    openCallId: isOpen ? callId : null,
  });
}

function savedBytes(inputBytes: number, sentBytes: number): number {
  return Math.max(0, inputBytes - sentBytes);
}

function withoutWarnings({ warnings: _warnings, ...edit }: EditReport): JobReport["edit"] {
  return edit;
}

/** A line of the job's log in Redis: when, and what. Bull Board and the job page show them as a timeline. */
export function logLine(now: number, words: string): string {
  return `${new Date(now).toISOString()} ${words}`;
}

/** Without what is undefined, so that it has no key. */
function defined<T extends object>(values: T): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}
