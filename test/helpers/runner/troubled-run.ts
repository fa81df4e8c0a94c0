import type { ErrorCode } from "../../../src/job/errors.ts";
import { MirumojiError } from "../../../src/job/errors.ts";
import type { DeliveryResult } from "../../../src/queue/delivery.ts";
import { JobSignals } from "../../../src/queue/job-signals.ts";
import type { Lease } from "../../../src/queue/lease.ts";
import { runJob } from "../../../src/runner/run-job.ts";
import type { RunnerTools } from "../../../src/runner/job-run.ts";
import { FakeWorld } from "./fake-world.ts";

/** Troubles that can occur at any side effect and any write. */
export type Trouble =
  | "none"
  /** The worker dies before, or after, the effect. */
  | "dies before"
  | "dies after"
  /** The effect happens, but the answer says otherwise. */
  | "answer lost"
  /** Another worker has the job now, and this one does not know yet. */
  | "stale"
  | "cancel"
  | "stop"
  | "volume vanishes"
  | "call vanishes"
  /** The job's whole time is over. */
  | "late"
  /** The machine's clock is set back. */
  | "early"
  | ErrorCode;

/** Late enough for a clock that is set back now and then. */
const SUBMITTED_AT = 1e12;
const HANGS = new Promise<never>(() => undefined);
/** More often than any run can be taken up: troubles, budgets, and each try once. */
const MOST_DELIVERIES = 400;

/** Runs one job through troubles: workers die, go stale and are replaced until it is over. */
export class TroubledRun {
  readonly world = new FakeWorld();
  /** Violated promises, in words. */
  readonly broken: string[] = [];
  status: string | null = null;
  deliveries = 0;
  isCancelled = false;
  readonly #troubles: Trouble[];
  /** Volumes that some write knew of; others expire by themselves. */
  readonly #written = new Set<string>();
  /** Calls that are over, that the server lost or that could not be cancelled: a second one is no mistake. */
  readonly #excused = new Set<string>();
  #crashes = 0;
  #die: () => void = () => undefined;
  #signals = new JobSignals();

  constructor(troubles: readonly Trouble[]) {
    this.#troubles = [...troubles];
    this.world.clock = SUBMITTED_AT;
  }

  async run(): Promise<void> {
    while (this.status === null) {
      if ((this.deliveries += 1) > MOST_DELIVERIES) {
        this.broken.push("never ends");
        return;
      }
      const result = await this.#deliver();
      if (result === "died" || result.kind === "fenced") this.#crashes += 1;
      else if (result.kind === "completed" || result.kind === "failed") await this.#end(result);
      this.#lookAround();
    }
    await this.#reap();
    for (const id of this.world.volumes) if (this.#written.has(id)) this.broken.push(`${id} lives`);
    for (const [id, call] of this.world.calls) {
      const isOver = call.started === 0 || call.cancelled || this.#excused.has(id);
      if (!isOver) this.broken.push(`${id} runs`);
    }
  }

  async #deliver(): Promise<DeliveryResult | "died"> {
    const token = `w${this.deliveries}`;
    this.world.owner = token;
    this.#signals = new JobSignals();
    const died = new Promise<"died">((resolve) => {
      this.#die = () => resolve("died");
    });
    const delivery = this.world.delivery({
      isFirst: this.deliveries === 1,
      crashes: this.#crashes,
      submittedAt: SUBMITTED_AT,
      lease: this.#troubled(this.world.lease(token)),
      signals: this.#signals,
    });
    return await Promise.race([runJob(delivery, this.#tools()), died]);
  }

  /** BullMQ is told, then the books are cleared; the worker may die before either. */
  async #end(result: Extract<DeliveryResult, { kind: "completed" | "failed" }>): Promise<void> {
    const trouble = this.#troubles.shift();
    if (trouble === "dies before" || trouble === "stale") {
      this.#crashes += 1;
      return;
    }
    const isCancelled = result.kind === "failed" && result.code === "CANCELLED";
    this.status = isCancelled ? "cancelled" : result.kind;
    if (trouble !== "dies after") await result.settle();
  }

  /** Does the caretaker's work for jobs that are over. */
  async #reap(): Promise<void> {
    for (const [volumeId, callId] of this.world.ledger) {
      const call = this.world.calls.get(callId ?? "");
      if (call !== undefined) call.cancelled = true;
      this.world.volumes.delete(volumeId);
    }
    this.world.ledger.clear();
    await Promise.resolve();
  }

  #lookAround(): void {
    for (const id of this.world.volumes) {
      if (this.#written.has(id) && !this.world.ledger.has(id)) this.broken.push(`the ledger lacks ${id}`);
    }
  }

  async #around<T>(act: () => Promise<T>): Promise<T> {
    const trouble = this.#troubles.shift() ?? "none";
    switch (trouble) {
      case "none":
        return await act();
      case "dies before":
        this.#die();
        return await HANGS;
      case "dies after":
        await act();
        this.#die();
        return await HANGS;
      case "answer lost":
        await act();
        throw new MirumojiError("MODAL_UNAVAILABLE", "the answer was lost");
      case "stale":
        this.world.owner = "somebody else";
        return await act();
      case "cancel":
        this.isCancelled = true;
        this.world.cancelRequested = true;
        this.#signals.cancel();
        return await act();
      case "stop":
        this.#signals.interrupt();
        return await act();
      case "volume vanishes":
        this.world.volumes.clear();
        return await act();
      case "call vanishes":
        for (const id of this.world.calls.keys()) this.#excused.add(id);
        this.world.calls.clear();
        return await act();
      case "late":
        this.world.clock += 100_000;
        return await act();
      case "early":
        this.world.clock -= 100_000;
        return await act();
      default:
        throw new MirumojiError(trouble, "made to fail");
    }
  }

  #troubled(lease: Lease): Lease {
    return {
      ...lease,
      commit: async (commit) =>
        await this.#aroundWrite(async () => {
          const committed = await lease.commit(commit);
          if (committed !== "refused" && commit.ledger !== undefined)
            this.#written.add(commit.ledger.volumeId);
          return committed;
        }),
    };
  }

  /** Redis has no errors of Modal's: a write is done or not, and the worker may die around it. */
  async #aroundWrite<T>(act: () => Promise<T>): Promise<T> {
    const [next] = this.#troubles;
    const fits = ["dies before", "dies after", "stale", "cancel", "stop"].includes(next ?? "none");
    if (!fits) this.#troubles.shift();
    return fits ? await this.#around(act) : await act();
  }

  #tools(): RunnerTools {
    const tools = this.world.tools();
    const { volumes, calls, media } = tools;
    return {
      ...tools,
      volumes: {
        ...volumes,
        create: async (options) => await this.#around(async () => await volumes.create(options)),
        putFile: async (options) => await this.#around(async () => await volumes.putFile(options)),
        delete: async (options) => await this.#around(async () => await volumes.delete(options)),
      },
      calls: {
        ...calls,
        open: async (options) => await this.#around(async () => await calls.open(options)),
        start: async (options) =>
          await this.#around(async () => {
            this.#judgeStart(options.callId);
            await calls.start(options);
          }),
        poll: async (options) =>
          await this.#around(async () => {
            const state = await calls.poll(options);
            // It is over, and costs nothing any more.
            if (state.kind === "succeeded") this.#excused.add(options.callId);
            return state;
          }),
        cancel: async (options) => {
          try {
            await this.#around(async () => await calls.cancel(options));
          } catch (error) {
            this.#excused.add(options.callId);
            throw error;
          }
        },
      },
      media: {
        ...media,
        writeOutputs: async (options) => await this.#around(async () => await media.writeOutputs(options)),
      },
    };
  }

  /** A call may be started when no other one runs that could be found. */
  #judgeStart(callId: string): void {
    for (const [id, { started, cancelled }] of this.world.calls) {
      if (id === callId && started > 0) this.broken.push(`${id} is started twice`);
      if (id !== callId && started > 0 && !cancelled && !this.#excused.has(id)) {
        this.broken.push(`${callId} is started while ${id} runs`);
      }
    }
  }
}
