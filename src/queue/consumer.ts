import { DelayedError, type Job, type Queue, UnrecoverableError, WaitingError, Worker } from "bullmq";
import type { Redis } from "ioredis";
import type { JobSummary } from "../job/summary.ts";
import type { TracedDelivery } from "../telemetry/trace-contract.ts";
import { bringForward, cancelRequested } from "./cancellation.ts";
import type { Delivery, DeliveryResult } from "./delivery.ts";
import { jobKeys } from "./keys.ts";
import { keepPoolTime } from "./pool-time.ts";
import { createLease, type Lease } from "./lease.ts";
import { type HeldLease, LeaseClock } from "./lease-clock.ts";
import { NewPrimary } from "./new-primary.ts";
import { RETENTION } from "./queues.ts";
import type { Replicas } from "./replicas.ts";
import { Settler } from "./settler.ts";
import { repairJob, soundBackend } from "./sound-backend.ts";
import { adoptCarrier, carrierOf } from "./trace-carrier.ts";
import type { TellUnreadable } from "./unreadable.ts";

export interface ConsumerOptions {
  readonly queue: Queue;
  readonly redis: Redis;
  readonly prefix: string;
  readonly concurrency: number;
  /** How long a lease holds without renewal; a third of it is the renewal interval. */
  readonly leaseMs: number;
  /** How often dead workers' jobs are looked for. */
  readonly stalledIntervalMs: number;
  /** Replicas that are waited for; none by default. */
  readonly replicas?: Replicas;
  readonly handle: (
    delivery: Delivery,
    trace: Pick<TracedDelivery, "carrier" | "adopt">,
  ) => Promise<DeliveryResult>;
  /** BullMQ failed a job of its own accord, without ever handing it over. */
  readonly onFailedUnseen?: (job: { jobId: string; name: string; message: string }) => void;
  /** Told of jobs that could not be read before they were repaired. */
  readonly onUnreadable?: TellUnreadable;
  readonly onError: (error: unknown) => void;
  /** Epoch milliseconds by the clock of the pool. */
  readonly now: () => number;
}

/** Knows when it last asked for a job and got an answer. */
class PollingWorker extends Worker {
  polledAt = performance.now();

  protected override async moveToActive(token: string, name?: string): Promise<Job> {
    const job = await super.moveToActive(token, name);
    this.polledAt = performance.now();
    return job;
  }
}

/**
 * Takes jobs from one queue, until stopped.
 *
 * Modes, in their order; only `stop()`, `pause()` and `resume()` change them:
 *
 * - `consuming`: from the start. BullMQ asks for jobs while fewer than `concurrency` run here.
 * - `paused`: no job is asked for, those that run here go on; `resume()` leads back to `consuming`.
 * - `stopping`: no job is asked for. Those that run here have been interrupted, and one that BullMQ took in that moment
 *   is interrupted before it begins. Leases are still renewed and watched: jobs are being handed back.
 * - `stopped`: no job runs here, all books are clear, and the lease clock stands.
 *
 * A job that runs here is first held (the lease clock watches its lease), then told (BullMQ knows what became of it),
 * and, when it is over, settled (its books are cleared). Nothing is told of a job whose lease is lost or about which
 * nothing is known: its lease runs out, and it is taken again.
 *
 * `maxStalledCount` is out of the way on purpose: at BullMQ's default two crashes fail a job without calling the
 * processor, and nothing would clean up; the runner has its own crash budget.
 */
export class Consumer {
  readonly #options: ConsumerOptions;
  readonly #worker: PollingWorker;
  readonly #leases: LeaseClock;
  readonly #settler: Settler;
  readonly #newPrimary: NewPrimary;
  #mode: "consuming" | "paused" | "stopping" | "stopped" = "consuming";
  /** Leases of the jobs that run here, also those that are lost. */
  readonly #books = new Set<Lease>();
  /** Whether a job went back to its queue, where it may need a waiting worker to be woken. */
  #hasHandedBack = false;

  constructor(options: ConsumerOptions) {
    this.#options = options;
    this.#leases = new LeaseClock(options.leaseMs);
    this.#settler = new Settler(options.onError);
    this.#newPrimary = new NewPrimary(options.redis, options.prefix, options.onError);
    const { queue, redis, prefix, leaseMs } = options;
    // Two parameters on purpose: BullMQ makes an abort signal for processors that declare a third one, and aborts it
    // only for callers of its `cancelJob`, of whom there are none. See `JobSignals`.
    const work = async (job: Job, token?: string) => await this.#work(job, token ?? "");
    const settings = {
      connection: redis,
      prefix,
      concurrency: options.concurrency,
      lockDuration: leaseMs,
      lockRenewTime: Math.floor(leaseMs / 3),
      stalledInterval: options.stalledIntervalMs,
      maxStalledCount: Number.MAX_SAFE_INTEGER,
      ...RETENTION,
    };
    const backend = soundBackend(redis, options.onUnreadable ?? (() => undefined));
    this.#worker = new PollingWorker(queue.name, work, settings, backend);
    keepPoolTime(this.#worker.getBackend(), options.now);
    this.#listen();
  }

  /** The jobs that run here now. */
  activeIds(): string[] {
    return this.#leases.jobIds();
  }

  /** Passes a cancel on to a job that runs here; others are not known here. */
  cancel(jobId: string): void {
    this.#leases.signalsOf(jobId)?.cancel();
  }

  /** Milliseconds since Redis was last asked for a job; 0 while none is wanted. */
  sincePollMs(): number {
    if (this.#mode === "paused") return 0;
    const isFull = this.activeIds().length >= this.#options.concurrency;
    return isFull ? 0 : performance.now() - this.#worker.polledAt;
  }

  /** Takes no further jobs until `resume()`. */
  async pause(): Promise<void> {
    if (this.#mode !== "consuming") return;
    this.#mode = "paused";
    await this.#worker.pause(true);
  }

  /** Takes jobs again after `pause()`. */
  resume(): void {
    if (this.#mode !== "paused") return;
    this.#mode = "consuming";
    this.#worker.polledAt = performance.now();
    this.#worker.resume().catch(this.#options.onError);
  }

  /** Stops taking jobs, aborts the running ones with `INTERRUPTED` and waits until all are handed back. */
  async stop(): Promise<void> {
    const closing = this.#worker.close();
    this.#mode = "stopping";
    this.#leases.interruptAll();
    await closing;
    this.#options.redis.off("ready", this.#restate);
    this.#newPrimary.close();
    this.#leases.stop();
    await this.#settler.idle();
    await this.#wakeOthers().catch(this.#options.onError);
    this.#mode = "stopped";
  }

  async #work(job: Job, token: string): Promise<JobSummary> {
    const { redis, prefix, queue, handle, onError } = this.#options;
    const held = this.#leases.hold(job.id ?? "");
    const lease = this.#leaseOf(held.jobId, token);
    this.#books.add(lease);
    if (this.#mode === "stopping" || this.#mode === "stopped") held.signals.interrupt();
    try {
      // A question for a job that was under way when the pause began may still bring one.
      if (this.#mode === "paused") return await this.#tell(job, token, { kind: "released" });
      const { job: jobKey } = jobKeys(prefix, queue.name, held.jobId);
      const hasWaited = await this.#newPrimary.settled(held.signals.stopped, isKnown(job));
      const result = await handle(this.#deliveryOf(job, lease, held, hasWaited), {
        carrier: carrierOf(job),
        adopt: async (carrier) => await adoptCarrier(redis, jobKey, carrier),
      });
      // Redis may have forgotten the newest of it, and the next worker would pay for it again.
      if (result.kind === "fenced" || result.kind === "released") await lease.restate().catch(onError);
      return await this.#tell(job, token, result);
    } catch (error) {
      if (isVerdict(error)) throw error;
      // Nothing is known about the job, so nothing may be said: when the lease has run out, it is taken again.
      onError(error);
      throw new WaitingError();
    } finally {
      this.#books.delete(lease);
      this.#leases.drop(held);
      // Full until now: there was no room to ask for more.
      this.#worker.polledAt = performance.now();
    }
  }

  #leaseOf(jobId: string, token: string): Lease {
    const { redis, prefix, queue, replicas } = this.#options;
    return createLease(redis, {
      prefix,
      queue: queue.name,
      jobId,
      token,
      ...(replicas === undefined ? {} : { replicas }),
    });
  }

  /** Says again what Redis may have forgotten. */
  readonly #restate = (): void => {
    for (const lease of this.#books) lease.restate().catch(this.#options.onError);
  };

  #deliveryOf(job: Job, lease: Lease, { jobId, signals }: HeldLease, hasWaited: boolean): Delivery {
    const { queue } = this.#options;
    return {
      jobId,
      queue: queue.name,
      name: job.name,
      data: job.data,
      // Others may have said meanwhile that they had it.
      isFirst: !hasWaited && !isKnown(job),
      crashes: job.stalledCounter,
      submittedAt: Math.max(job.timestamp, job.timestamp + (job.opts.delay ?? 0)),
      lease,
      signals,
    };
  }

  /** Tells BullMQ, in its own words, what became of the job. */
  async #tell(job: Job, token: string, result: DeliveryResult): Promise<JobSummary> {
    switch (result.kind) {
      case "completed":
        this.#settler.expect(job, result.settle);
        return result.summary;
      case "failed":
        this.#settler.expect(job, result.settle);
        throw new UnrecoverableError(`${result.code}: ${result.message}`);
      case "delayed":
        // BullMQ's own method reckons with this machine's clock.
        await this.#worker
          .getBackend()
          .moveToDelayed(job.id ?? "", this.#options.now(), result.delayMs, token, { skipAttempt: true });
        if (result.heedsCancel) await this.#heedCancel(job).catch(this.#options.onError);
        throw new DelayedError();
      case "released":
        await job.moveToWait(token);
        this.#hasHandedBack = true;
        throw new WaitingError();
      case "fenced":
        // Not ours any more: BullMQ is told that it moved, so that it writes nothing.
        throw new WaitingError();
    }
  }

  /** A cancel that came while the job was being put away found it active, and nobody to hear of it. */
  async #heedCancel({ id = "" }: Job): Promise<void> {
    const { redis, prefix, queue } = this.#options;
    const [flagged] = await cancelRequested(redis, { prefix, queue: queue.name, jobIds: [id] });
    if (flagged !== undefined) await bringForward(queue, id);
  }

  #listen(): void {
    const { redis, prefix, queue, onError, onFailedUnseen } = this.#options;
    const worker = this.#worker;
    worker.on("completed", (job) => this.#settler.settle(job));
    worker.on("failed", (job, { message }) => {
      if (job === undefined || this.#settler.settle(job)) return;
      onFailedUnseen?.({ jobId: job.id ?? "", name: job.name, message });
    });
    worker.on("locksRenewed", ({ jobIds }) => {
      this.#leases.renew(jobIds);
      // Another node of a cluster may have become the primary, which the connection does not tell.
      this.#restate();
    });
    redis.on("ready", this.#restate);
    worker.on("lockRenewalFailed", (jobIds) => this.#leases.lose(jobIds));
    worker.on("stalled", (jobId) => {
      repairJob(redis, jobKeys(prefix, queue.name, jobId).job, { isStalled: true }).catch(onError);
    });
    worker.on("error", onError);
  }

  /**
   * Wakes a waiting worker for what was handed back here. The call for it is taken by the one that has waited longest,
   * and that may have been a connection of ours that was being closed; others would look by themselves some seconds
   * later.
   */
  async #wakeOthers(): Promise<void> {
    const { redis, queue } = this.#options;
    if (!this.#hasHandedBack || (await redis.llen(queue.toKey("wait"))) === 0) return;
    await redis.zadd(queue.toKey("marker"), 0, "0");
  }
}

/** Whether somebody had the job before. */
function isKnown({ attemptsStarted, stalledCounter }: Job): boolean {
  return attemptsStarted > 1 || stalledCounter > 0;
}

/** Whether BullMQ was told by throwing. */
function isVerdict(error: unknown): boolean {
  return [DelayedError, UnrecoverableError, WaitingError].some((kind) => error instanceof kind);
}
