import {
  calmed,
  type Checkpoint,
  moved,
  retried,
  rewound,
  unwound,
  visitsUntil,
  withFacts,
} from "../job/checkpoint.ts";
import type { JobRequest } from "../job/contract.ts";
import type { EmitJobEvent, JobIdentity } from "../job/events.ts";
import type { StoredFacts } from "../job/facts.ts";
import type { MirumojiError } from "../job/errors.ts";
import type { Decision, FinalState, WorkingState } from "../job/machine.ts";
import type { JobStatus, JobSummary, StepProgress } from "../job/summary.ts";
import type { Commit, Committed, Lease } from "../queue/lease.ts";
import { callEnd } from "./call-end.ts";
import { logLine } from "./log-line.ts";

/** Thrown inside the runner when a write is refused; it never leaves it. */
export class Fenced extends Error {
  override readonly name = "Fenced";
}

/**
 * One job while this worker owns it: the checkpoint in memory is always the one in Redis, because every
 * change goes through a fenced commit first.
 */
export class LiveJob {
  readonly identity: JobIdentity;
  readonly request: JobRequest;
  checkpoint: Checkpoint;
  readonly #lease: Lease;
  readonly #queue: string;
  readonly #now: () => number;
  readonly #emit: EmitJobEvent;
  readonly #onCancel: () => void;

  constructor(options: {
    identity: JobIdentity;
    request: JobRequest;
    checkpoint: Checkpoint;
    lease: Lease;
    queue: string;
    now: () => number;
    emit: EmitJobEvent;
    /** Called when a write tells that somebody wants the job to stop. */
    onCancel: () => void;
  }) {
    this.identity = options.identity;
    this.request = options.request;
    this.checkpoint = options.checkpoint;
    this.#lease = options.lease;
    this.#queue = options.queue;
    this.#now = options.now;
    this.#emit = options.emit;
    this.#onCancel = options.onCancel;
  }

  /** Writes facts down without leaving the state. */
  async save(facts: StoredFacts): Promise<void> {
    const next = withFacts(this.checkpoint, facts);
    await this.#commit(next, this.#ledger(next.facts));
  }

  async move(to: WorkingState, gained: StoredFacts): Promise<void> {
    const next = moved(this.checkpoint, to, gained, this.#now());
    await this.#commit(next, this.#ledger(next.facts));
  }

  async retry(error: MirumojiError, delayMs: number): Promise<void> {
    const next = retried(this.checkpoint);
    await this.#commit(next, {
      log: `${next.state}: ${error.code}: ${error.message}; try ${next.attempt} in ${(delayMs / 1000).toFixed(1)} s`,
    });
  }

  /** The server answers again: attempts start anew. A call of hours may meet many short troubles. */
  async calm(): Promise<void> {
    if (this.checkpoint.attempt > 1) await this.#commit(calmed(this.checkpoint), {});
  }

  /** Goes back to make again what vanished; a volume that is no longer the job's leaves the ledger. */
  async rewind(to: WorkingState, error: MirumojiError): Promise<void> {
    const next = rewound(this.checkpoint, to, this.#now());
    const { volumeId } = this.checkpoint.facts;
    await this.#commit(next, {
      ...(volumeId !== undefined && next.facts.volumeId === undefined
        ? { strike: volumeId }
        : this.#ledger(next.facts)),
      log: `${this.checkpoint.state}: ${error.code}: ${error.message}; back to ${to}`,
    });
  }

  async unwind(decision: Extract<Decision, { kind: "unwind" }>, error: MirumojiError): Promise<void> {
    const failure = { code: error.code, message: error.message };
    const next = unwound(this.checkpoint, decision, failure, this.#now());
    await this.#commit(next, { log: `${this.checkpoint.state}: ${error.code}: ${error.message}; undoing` });
  }

  /** Shows where the running step is; false when the lease is gone. */
  async show(step: StepProgress): Promise<boolean> {
    return this.#notice(await this.#lease.commit({ summary: this.summary("running", step) }));
  }

  /** What is shown of the job now. */
  summary(status: JobStatus, step?: StepProgress): JobSummary {
    const { checkpoint } = this;
    const { result, inputBytes = 0, sentBytes = 0, outputs } = checkpoint.facts;
    const { audioOnly = false, inputWarnings = [] } = checkpoint.facts;
    return {
      v: 1,
      state: checkpoint.state,
      status,
      startedAt: checkpoint.startedAt,
      states: visitsUntil(checkpoint, this.#now()),
      ...(step === undefined ? {} : { step }),
      outputs: outputs ?? [],
      ...(result === undefined
        ? {}
        : {
            report: {
              engine: result.engine,
              mediaSeconds: result.mediaSeconds,
              gpuSeconds: result.gpuSeconds,
              inputBytes,
              sentBytes,
              savedBytes: Math.max(0, inputBytes - sentBytes),
              audioOnly,
              warnings: [...inputWarnings, ...result.warnings],
            },
          }),
      error: checkpoint.failure ?? null,
    };
  }

  /** The last summary, in a final state. */
  finalSummary(status: FinalState): JobSummary {
    return { ...this.summary(status), state: status };
  }

  async #commit(next: Checkpoint, extra: Pick<Commit, "ledger" | "strike" | "log">): Promise<void> {
    const before = this.checkpoint;
    this.checkpoint = next;
    const changedState = before.state !== next.state;
    const words = extra.log ?? (changedState ? `${before.state} -> ${next.state}` : null);
    const written = await this.#lease.commit({
      checkpoint: next,
      summary: this.summary("running"),
      ...extra,
      ...(words === null ? {} : { log: logLine(this.#now(), words) }),
    });
    if (!this.#notice(written)) throw new Fenced(`the checkpoint write in ${before.state} was refused`);
    const ended = callEnd(before, next, this.#now());
    if (ended !== null) this.#emit("call.finished", { ...this.identity, ...ended });
    if (!changedState) return;
    this.#emit("job.moved", {
      ...this.identity,
      from: before.state,
      to: next.state,
      attempt: before.attempt,
      ms: this.#now() - before.enteredAt,
      volumeId: next.facts.volumeId ?? null,
      callId: next.facts.callId ?? null,
    });
  }

  /** Passes a cancel on; false when the lease is gone. */
  #notice(committed: Committed): boolean {
    if (committed === "cancelRequested") this.#onCancel();
    return committed !== "refused";
  }

  #ledger(facts: StoredFacts): Pick<Commit, "ledger"> {
    const known = this.checkpoint.facts;
    if (facts.volumeId === undefined) return {};
    if (facts.volumeId === known.volumeId && facts.callId === known.callId) return {};
    return {
      ledger: {
        volumeId: facts.volumeId,
        entry: {
          queue: this.#queue,
          jobId: this.identity.jobId,
          createdAt: this.#now(),
          callId: facts.callId ?? null,
          appId: facts.appId ?? null,
        },
      },
    };
  }
}
