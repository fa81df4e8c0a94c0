import {
  type Checkpoint,
  moved,
  retried,
  rewound,
  unwound,
  withAttemptsReset,
  withEndedCall,
  withFacts,
} from "../job/checkpoint.ts";
import { type Budget, estimateUsd, hasLimits, overBudgetError } from "../job/budget.ts";
import type { JobRequest, JobType } from "../job/contract.ts";
import { MirumojiError } from "../job/errors.ts";
import type { EmitJobEvent, JobEventName, JobEvents, JobIdentity } from "../job/events.ts";
import type { StoredFacts } from "../job/facts.ts";
import type { Decision, FinalState, Position, WorkingState } from "../job/machine.ts";
import { endedCall, type GpuPrice, NO_GPU, type Receipt } from "../job/receipt.ts";
import { type JobSummary, logLine, type StepProgress, summaryOf } from "../job/summary.ts";
import type { Delivery } from "../queue/delivery.ts";
import type { Commit, Committed } from "../queue/lease.ts";
import type { Platform } from "../ports/platform.ts";
import type { CallSize, StepTools } from "../steps/context.ts";
import { callEnd } from "./call-end.ts";
import { persist } from "./persist.ts";
import { ProgressFeed } from "./progress-feed.ts";

/** The steps' tools, and those of the runner itself. */
export interface RunnerTools extends StepTools {
  /** How long a job may wait before its first activation. */
  readonly queueWaitMs: number;
  /** How long a job may take from its first activation to the end of its download. */
  readonly jobDeadlineMs: number;
  /** How long a job that failed after its call keeps its volume for a retry; 0 or nothing keeps none. */
  readonly keepFailedMs?: number;
  /** Told of trouble with Modal. */
  readonly platform: Platform;
  /** Price of the GPU that calls of a job type run on. */
  readonly price: (type: JobType) => GpuPrice;
  /** Spending limits. */
  readonly budget: Budget;
  readonly emit: EmitJobEvent;
  /** In [0, 1). */
  readonly random: () => number;
}

/** Thrown inside the runner when a write is refused; it never leaves it. */
export class Fenced extends Error {
  override readonly name = "Fenced";
}

/** The receipt once the call is over and the volume deleted, by the server's own word. */
function closed(receipt: Receipt): Receipt {
  return { ...receipt, openCallId: null, volumeDeleted: true };
}

/**
 * One job while this worker owns it: its checkpoint, the delivery it came with, the tools it is worked on with and the
 * feed that shows its progress. The checkpoint in memory is always the one in Redis: each change builds the next one,
 * commits it under the lease, and only then puts it in place of the old one.
 */
export class JobRun {
  readonly identity: JobIdentity;
  readonly request: JobRequest;
  readonly delivery: Delivery;
  readonly tools: RunnerTools;
  /** Shows where the running step is. */
  readonly feed = new ProgressFeed(async (step) => await this.#show(step));
  readonly #takenUp: Checkpoint;
  #checkpoint: Checkpoint;

  constructor(options: {
    identity: JobIdentity;
    request: JobRequest;
    checkpoint: Checkpoint;
    delivery: Delivery;
    tools: RunnerTools;
  }) {
    this.identity = options.identity;
    this.request = options.request;
    this.delivery = options.delivery;
    this.tools = options.tools;
    this.#takenUp = options.checkpoint;
    this.#checkpoint = options.checkpoint;
  }

  get checkpoint(): Checkpoint {
    return this.#checkpoint;
  }

  /** The state was entered in an earlier delivery, maybe long ago. */
  get isTakenUp(): boolean {
    const { state, enteredAt } = this.#checkpoint;
    return state === this.#takenUp.state && enteredAt === this.#takenUp.enteredAt;
  }

  /** Where the job stands, for `decide`. */
  get position(): Position {
    const { state, attempt, lost, ending = "failed" } = this.#checkpoint;
    return { state, attempt, lost, ending };
  }

  /** How often workers died or stalled on the job in this life of it. */
  get crashes(): number {
    return this.delivery.crashes - this.#checkpoint.crashesBefore;
  }

  /** How often workers died or stalled on the job since its checkpoint was written. */
  get newCrashes(): number {
    const { crashesSeen = this.delivery.crashes } = this.#checkpoint;
    return this.delivery.crashes - crashesSeen;
  }

  /** Tells an event of this job. */
  emit<N extends JobEventName>(name: N, event: Omit<JobEvents[N], keyof JobIdentity>): void {
    this.tools.emit(name, { ...this.identity, ...event } as JobEvents[N]);
  }

  /** Writes facts down without leaving the state. */
  async save(facts: StoredFacts): Promise<void> {
    const next = withFacts(this.#checkpoint, facts);
    await this.#commit(next, this.#ledgerEntry(next.facts));
  }

  /**
   * Holds the estimated cost of a call against the spending limits, where there may be any.
   *
   * @throws MirumojiError `BUDGET_EXCEEDED`, `BUDGET_SPENT`
   */
  async reserve(size?: CallSize): Promise<void> {
    const { type, request } = this.request;
    const { budget, price } = this.tools;
    if (!hasLimits(budget) && request.tenant === undefined) return;
    const { mediaSeconds = this.#checkpoint.facts.inputSeconds, containers } = size ?? {};
    const usdPerSecond = size?.withoutGpu === true ? 0 : price(type).usdPerSecond;
    const reserved = await this.delivery.lease.reserve(
      (speed) => estimateUsd({ type, mediaSeconds, speed, usdPerSecond, containers }),
      budget,
    );
    if (reserved === "refused") throw new Fenced("the lease is lost");
    if (reserved !== "reserved") throw overBudgetError(reserved);
  }

  /**
   * Enters the next state with the facts that the step earned.
   *
   * @throws MirumojiError `OUTPUT_CLAIMED`
   */
  async move(to: WorkingState, gained: StoredFacts): Promise<void> {
    const next = moved(this.#checkpoint, to, gained, this.tools.now());
    await this.#commit(next, { ...this.#ledgerEntry(next.facts), targets: next.facts.targets });
  }

  /** Shows what the job waits for; nothing is counted. Without `delayMs` it waits for its turn after a pause. */
  async wait(error: MirumojiError, delayMs?: number): Promise<void> {
    const { state } = this.#checkpoint;
    const pause =
      delayMs === undefined ? "no try is counted" : `next look in ${(delayMs / 1000).toFixed(1)} s`;
    await this.#commit(this.#checkpoint, { log: `${state}: ${error.code}: ${error.message}; ${pause}` });
  }

  /** Counts a try; the next one comes in `delayMs`. */
  async retry(error: MirumojiError, delayMs: number): Promise<void> {
    const next = retried(this.#checkpoint);
    const pause = `try ${next.attempt} in ${(delayMs / 1000).toFixed(1)} s`;
    await this.#commit(next, { log: `${next.state}: ${error.code}: ${error.message}; ${pause}` });
  }

  /** Starts the attempts anew, because the server answers again. A call of hours may meet many short troubles. */
  async resetAttempts(): Promise<void> {
    if (this.#checkpoint.attempt > 1) await this.#commit(withAttemptsReset(this.#checkpoint), {});
  }

  /** Goes back to make again what vanished; a volume that is no longer the job's leaves the ledger. */
  async rewind(to: WorkingState, error: MirumojiError): Promise<void> {
    const { state, facts } = this.#checkpoint;
    const next = rewound(this.#checkpoint, to, this.tools.now());
    await this.#commit(next, {
      ...(facts.volumeId !== undefined && next.facts.volumeId === undefined
        ? { strike: facts.volumeId }
        : this.#ledgerEntry(next.facts)),
      log: `${state}: ${error.code}: ${error.message}; back to ${to}`,
    });
  }

  /** Starts to undo. */
  async unwind(decision: Extract<Decision, { kind: "unwind" }>, error: MirumojiError): Promise<void> {
    const { code, message } = error;
    const next = unwound(this.#checkpoint, decision, { code, message }, this.tools.now());
    await this.#commit(next, { log: `${this.#checkpoint.state}: ${code}: ${message}; undoing` });
  }

  /** The last summary, in a final state. `volumeDeleted`: for sure, not left to the reaper. */
  finalSummary(status: FinalState, { volumeDeleted }: { readonly volumeDeleted: boolean }): JobSummary {
    const summary = summaryOf(this.#checkpoint, { status, now: this.tools.now() });
    const { receipt } = summary;
    return {
      ...summary,
      ...(receipt === undefined ? {} : { receipt: volumeDeleted ? closed(receipt) : receipt }),
      state: status,
    };
  }

  /**
   * Shows that the volume is deleted before a job ends badly: BullMQ keeps no result of such a job, so readers who hear of
   * its end at once see what was shown last.
   */
  async showVolumeDeleted(): Promise<void> {
    const { receipt, ...summary } = summaryOf(this.#checkpoint, { status: "running", now: this.tools.now() });
    if (receipt === undefined) return;
    const shown = { ...summary, receipt: closed(receipt) };
    if (!this.#heed(await this.delivery.lease.commit({ summary: shown }))) {
      throw new Fenced("the lease was lost before the end");
    }
  }

  async #commit(
    wanted: Checkpoint,
    extra: Pick<Commit, "ledger" | "strike" | "log" | "targets">,
  ): Promise<void> {
    const before = this.#checkpoint;
    const changed = { ...wanted, crashesSeen: this.delivery.crashes, revision: (before.revision ?? 0) + 1 };
    const now = this.tools.now();
    const ended = callEnd(before, changed, now);
    const price = this.tools.price(this.request.type);
    const isFree = before.facts.withoutGpu === true;
    const paid = isFree ? { ...price, gpu: NO_GPU, usdPerSecond: 0 } : price;
    const spend = ended === null ? undefined : endedCall(ended, paid);
    const next = spend === undefined ? changed : withEndedCall(changed, spend);
    const changedState = before.state !== next.state;
    const words = extra.log ?? (changedState ? `${before.state} -> ${next.state}` : null);
    const written = await persist(this.delivery, {
      checkpoint: next,
      summary: summaryOf(next, { status: "running", now }),
      ...extra,
      spend,
      ...(words === null ? {} : { log: logLine(now, words) }),
    });
    if (written.startsWith("claimed ")) {
      const holder = written.slice("claimed ".length);
      throw new MirumojiError(
        "OUTPUT_CLAIMED",
        `job ${holder} is writing an output of this name; wait for its end`,
      );
    }
    if (!this.#heed(written)) throw new Fenced(`the checkpoint write in ${before.state} was refused`);
    this.#checkpoint = next;
    if (ended !== null && spend !== undefined) this.emit("call.finished", { ...ended, paid: spend });
    this.#tellMove(before, next);
  }

  #tellMove(before: Checkpoint, next: Checkpoint): void {
    const now = this.tools.now();
    if (before.state === next.state) return;
    this.emit("job.moved", {
      from: before.state,
      to: next.state,
      attempt: before.attempt,
      ms: now - before.enteredAt,
      volumeId: next.facts.volumeId ?? null,
      callId: next.facts.callId ?? null,
    });
  }

  /** Shows where the running step is; a refused write ends the work on it. */
  async #show(step: StepProgress): Promise<void> {
    const summary = summaryOf(this.#checkpoint, { status: "running", now: this.tools.now(), step });
    if (!this.#heed(await this.delivery.lease.commit({ summary }))) this.delivery.signals.loseLease();
  }

  /** Passes a cancel on; false when another worker owns the job. */
  #heed(committed: Committed): boolean {
    if (committed === "cancelRequested") this.delivery.signals.cancel();
    return committed !== "refused";
  }

  /** The ledger's line about the volume, where the facts change it. */
  #ledgerEntry({ volumeId, callId, appId }: StoredFacts): Pick<Commit, "ledger"> {
    const known = this.#checkpoint.facts;
    if (volumeId === undefined) return {};
    if (volumeId === known.volumeId && callId === known.callId) return {};
    return {
      ledger: {
        volumeId,
        entry: {
          queue: this.delivery.queue,
          jobId: this.identity.jobId,
          createdAt: this.tools.now(),
          callId: callId ?? null,
          appId: appId ?? null,
        },
      },
    };
  }
}
