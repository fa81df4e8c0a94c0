import type { JobType } from "./contract.ts";
import type { ErrorCode } from "./errors.ts";
import type { FinalState, JobState, WorkingState } from "./machine.ts";
import type { Outcome } from "./outcome.ts";
import type { EndedCall } from "./receipt.ts";
import type { JobReport } from "./summary.ts";

/** Identity of the job, part of every event. */
export interface JobIdentity {
  readonly jobId: string;
  /** `unknown` for garbage that some other program put into the queue. */
  readonly type: JobType | "unknown";
}

/**
 * Catalogue of job events. Logs, metrics and traces subscribe to it; nothing else in the core writes a log line or
 * counts.
 */
export interface JobEvents {
  /** A worker took the job. `resumedAt` is the state of its checkpoint when it was worked on before. */
  "job.started": JobIdentity & {
    waitedMs: number;
    resumedAt: WorkingState | null;
    /** How long the job has been in that state already, whichever workers had it. */
    inStateMs?: number;
  };
  /** A step is about to run. */
  "step.started": JobIdentity & { state: WorkingState; attempt: number };
  /** A step does its work in another way than it was meant to. */
  "step.warned": JobIdentity & { state: WorkingState; message: string };
  /** A step reported; `code` is there when it was not done. */
  "step.finished": JobIdentity & {
    state: WorkingState;
    attempt: number;
    outcome: Exclude<Outcome["kind"], "pending">;
    ms: number;
    code: ErrorCode | null;
    message: string | null;
    cause: unknown;
  };
  /** The machine committed a change of state. */
  "job.moved": JobIdentity & {
    from: JobState;
    to: JobState;
    /** Tries that the state it left took. */
    attempt: number;
    ms: number;
    volumeId: string | null;
    callId: string | null;
  };
  /** The job waits for its next try. */
  "job.delayed": JobIdentity & { state: WorkingState; attempt: number; delayMs: number; code: ErrorCode };
  /** The worker handed the job back without spending an attempt. */
  "job.released": JobIdentity & { state: WorkingState; code: ErrorCode };
  /** A checkpoint write was refused: another worker owns the job. */
  "job.fenced": JobIdentity & { state: WorkingState };
  /** The work stopped for a reason that no job can cause (Redis refused a write, a defect); the lease runs out. */
  "job.abandoned": JobIdentity & { message: string; cause: unknown };
  /** The job is over. */
  "job.finished": JobIdentity & {
    status: FinalState;
    ms: number;
    code: string | null;
    message: string | null;
    report: JobReport | null;
  };
  /**
   * The job's GPU call is over. `totalMs` is from opening the call, `runMs` how long the function ran by the
   * server's clock; null where that is not known.
   */
  "call.finished": JobIdentity & {
    callId: string;
    outcome: "succeeded" | "failed" | "cancelled" | "lost";
    totalMs: number | null;
    runMs: number | null;
    /** Cost by the receipt; metrics and books say the same. */
    paid: Pick<EndedCall, "gpu" | "seconds" | "usd">;
  };
  /** The handler said where it is. */
  "call.progress": JobIdentity & { callId: string; stage: string | null; fraction: number | null };
  /** One line that the container printed. */
  "call.log": JobIdentity & { callId: string; line: string; stream: "stdout" | "stderr" | "system" };
  /** An undo action or another best-effort clean-up did not work; the reaper has to. */
  "cleanup.failed": JobIdentity & { action: string; message: string };
}

export type JobEventName = keyof JobEvents;

/** Takes every event; a subscriber that throws must not disturb the job. */
export type EmitJobEvent = <N extends JobEventName>(name: N, event: JobEvents[N]) => void;
