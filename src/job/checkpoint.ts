import { z } from "zod";
import { type ErrorCode, MirumojiError } from "./errors.ts";
import { factsFor, factsSchema, missingFact, type StoredFacts } from "./facts.ts";
import { keepUnknown } from "./keep-unknown.ts";
import { type Decision, PATH, type WorkingState } from "./machine.ts";
import { type EndedCall, endedCallSchema } from "./receipt.ts";

const WORKING_STATES = [...PATH, "undo"] as const satisfies WorkingState[];
const count = z.int().nonnegative();

/** How long a job was in a state and how many tries it took; a state that is entered twice adds up. */
const visitSchema = z.object({ state: z.enum(WORKING_STATES), ms: count, attempts: count });
export type Visit = z.output<typeof visitSchema>;

/** Why a job ends in `failed` or `cancelled`. */
export const failureSchema = z.object({ code: z.string(), message: z.string() });
export type Failure = z.output<typeof failureSchema>;

/** The durable facts of a live job: one record, replaced as a whole, fenced by the lease. */
export const checkpointSchema = z.object({
  /**
   * 2 once a film's parts are under way, which workers of version 1 would take for one call with one result, and where
   * the result is an earlier job's, which they cannot read.
   */
  v: z.union([z.literal(1), z.literal(2)]),
  state: z.enum(WORKING_STATES),
  /** The try that runs or comes next, counted from 1. */
  attempt: count.min(1),
  /** How often a remote resource vanished. */
  lost: count,
  /** Crashes that BullMQ had counted before this life of the job began (a retried job keeps its count). */
  crashesBefore: count,
  /** Crashes that BullMQ had counted when this record was written; absent in records of older workers. */
  crashesSeen: count.optional(),
  /** How often the record was written in this life of the job, itself included; absent in records of older workers. */
  revision: count.optional(),
  /** Epoch milliseconds: first activation of the job, and when it entered its state. */
  startedAt: count,
  enteredAt: count,
  /** The states it has left, oldest first. */
  visits: z.array(visitSchema),
  facts: factsSchema,
  /** Calls that are over, oldest first, with their costs. */
  calls: z.array(endedCallSchema).optional(),
  /** How and why it ends, and from which state it unwinds; only in state `undo`. */
  ending: z.enum(["failed", "cancelled"]).optional(),
  failure: failureSchema.optional(),
  unwindFrom: z.enum(PATH).optional(),
});
export type Checkpoint = z.output<typeof checkpointSchema>;

/** Checkpoint of a job that no worker had before. */
export function firstCheckpoint(now: number, crashesBefore: number): Checkpoint {
  return {
    v: 1,
    state: PATH[0],
    attempt: 1,
    lost: 0,
    crashesBefore,
    crashesSeen: crashesBefore,
    startedAt: now,
    enteredAt: now,
    visits: [],
    facts: {},
  };
}

/**
 * Reads a stored checkpoint. Fields that are unknown here stay in it.
 *
 * @throws MirumojiError `CHECKPOINT_CORRUPT`, `NEEDS_NEWER_WORKER`
 */
export function decodeCheckpoint(text: string): Checkpoint {
  const stored = jsonOf(text);
  if (stored === undefined) throw corrupt("it is not JSON");
  const { data: version } = versionSchema.safeParse(stored);
  if (version !== undefined && version.v > NEWEST) {
    throw new MirumojiError(
      "NEEDS_NEWER_WORKER",
      `the checkpoint has version ${version.v}; this worker knows versions up to ${NEWEST}`,
    );
  }
  const parsed = checkpointSchema.safeParse(stored);
  if (!parsed.success) throw corrupt(z.prettifyError(parsed.error));
  const missing = missingFact(parsed.data.state, parsed.data.facts);
  if (missing !== null) throw corrupt(`in ${parsed.data.state} it lacks ${missing}`);
  return keepUnknown(parsed.data, stored);
}

const NEWEST = 2;
const versionSchema = z.looseObject({ v: count });

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function corrupt(why: string): MirumojiError {
  return new MirumojiError("CHECKPOINT_CORRUPT", `the checkpoint cannot be read: ${why}`);
}

/** Text for the store. */
export function encodeCheckpoint(checkpoint: Checkpoint): string {
  const { partInputs, result } = checkpoint.facts;
  const isOfVersion1 = partInputs === undefined && (result === undefined || !("cachedFrom" in result));
  const v = isOfVersion1 ? 1 : 2;
  return JSON.stringify({ ...checkpoint, v });
}

/** The checkpoint after a step earned facts without leaving its state (the call's ID, before it is started). */
export function withFacts(checkpoint: Checkpoint, facts: StoredFacts): Checkpoint {
  return { ...checkpoint, facts: { ...checkpoint.facts, ...facts } };
}

/** The checkpoint in its next working state. */
export function moved(
  checkpoint: Checkpoint,
  to: WorkingState,
  gained: StoredFacts,
  now: number,
): Checkpoint {
  return {
    ...enter(checkpoint, to, now),
    facts: { ...checkpoint.facts, ...gained },
  };
}

/** The checkpoint with one more call that is over. */
export function withEndedCall(checkpoint: Checkpoint, call: EndedCall): Checkpoint {
  return { ...checkpoint, calls: [...(checkpoint.calls ?? []), call] };
}

/** The checkpoint of a job that was given another life at that time: its clocks begin anew. */
export function livedSince(checkpoint: Checkpoint, retriedAt: number): Checkpoint {
  const { startedAt, enteredAt } = checkpoint;
  if (retriedAt <= startedAt) return checkpoint;
  return { ...checkpoint, startedAt: retriedAt, enteredAt: Math.max(enteredAt, retriedAt) };
}

/** The checkpoint one try later. */
export function retried(checkpoint: Checkpoint): Checkpoint {
  return { ...checkpoint, attempt: checkpoint.attempt + 1 };
}

/**
 * The checkpoint with its attempts reset, once a state that waits for something has reached it again: tries spent on a
 * bad time do not count against the next one.
 */
export function withAttemptsReset(checkpoint: Checkpoint): Checkpoint {
  const { state, attempt, visits } = checkpoint;
  return { ...checkpoint, attempt: 1, visits: withVisit(visits, { state, ms: 0, attempts: attempt - 1 }) };
}

/** The checkpoint back in the state that makes again what vanished. */
export function rewound(checkpoint: Checkpoint, to: WorkingState, now: number): Checkpoint {
  const back = PATH.find((state) => state === to) ?? PATH[0];
  return {
    ...enter(checkpoint, back, now),
    facts: factsFor(back, checkpoint.facts),
    lost: checkpoint.lost + 1,
  };
}

/** The checkpoint that starts to undo. */
export function unwound(
  checkpoint: Checkpoint,
  decision: Extract<Decision, { kind: "unwind" }>,
  failure: Failure,
  now: number,
): Checkpoint {
  const from = PATH.find((state) => state === checkpoint.state);
  return {
    ...enter(checkpoint, "undo", now),
    ending: decision.ending,
    failure,
    ...(from === undefined ? {} : { unwindFrom: from }),
  };
}

/** Failures after which the result of a paid call is as good as before. */
const KEEPS_RESULT: ReadonlySet<string> = new Set<ErrorCode>([
  "DISK_FULL",
  "JOB_DEADLINE_EXCEEDED",
  "OUTPUT_EXISTS",
  "OUTPUT_UNWRITABLE",
  "OUTPUT_URL_DENIED",
  "OUTPUT_WRITE_FAILED",
  "STEP_TIMED_OUT",
  "STORAGE_UNAVAILABLE",
  "STORE_REFUSED",
  "STORE_UNAVAILABLE",
  "TRANSFER_FAILED",
]);

/**
 * The checkpoint from which a job that is failing can go on when it is retried: its call is paid for, and its result is
 * in its volume. Null where there is nothing to keep.
 */
export function keptForRetry(checkpoint: Checkpoint, now: number): Checkpoint | null {
  const { ending, failure, unwindFrom, ...rest } = checkpoint;
  // Uploads of outputs that were begun have been taken back.
  const { outputUploads: _begun, ...facts } = rest.facts;
  const { result, volumeId } = facts;
  if (ending !== "failed" || unwindFrom !== "download" || !KEEPS_RESULT.has(failure?.code ?? "")) return null;
  return result === undefined || volumeId === undefined ? null : enter({ ...rest, facts }, unwindFrom, now);
}

/** The states a job has been in, with the one it is leaving now. */
export function visitsUntil(checkpoint: Checkpoint, now: number): Visit[] {
  return withVisit(checkpoint.visits, {
    state: checkpoint.state,
    ms: Math.max(0, Math.round(now - checkpoint.enteredAt)),
    attempts: checkpoint.attempt,
  });
}

function withVisit(visits: readonly Visit[], last: Visit): Visit[] {
  const same = visits.find((visit) => visit.state === last.state);
  if (same === undefined) return [...visits, last];
  return visits.map((visit) =>
    visit === same ? { ...visit, ms: visit.ms + last.ms, attempts: visit.attempts + last.attempts } : visit,
  );
}

function enter(checkpoint: Checkpoint, state: WorkingState, now: number): Checkpoint {
  return { ...checkpoint, state, attempt: 1, enteredAt: now, visits: visitsUntil(checkpoint, now) };
}
