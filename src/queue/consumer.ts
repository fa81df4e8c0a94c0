import {
  DelayedError,
  type Job,
  type Queue,
  RateLimitError,
  UnrecoverableError,
  WaitingError,
  Worker,
} from "bullmq";
import type { Redis } from "ioredis";
import { MirumojiError } from "../job/errors.ts";
import type { JobSummary } from "../job/summary.ts";
import type { TracedDelivery } from "../telemetry/tracing.ts";
import { jobKeys } from "./keys.ts";
import { createLease, type Lease } from "./lease.ts";
import { repairData } from "./repair-data.ts";
import { adoptCarrier, carrierOf } from "./trace-carrier.ts";

/** BullMQ handing a job to this worker. */
export interface Delivery {
  readonly jobId: string;
  readonly queue: string;
  /** What the producer called it and sent; nothing about it is checked yet. */
  readonly name: string;
  readonly data: unknown;
  /** True when no worker had the job before: there is no checkpoint to read. */
  readonly isFirst: boolean;
  /** How often a worker died or stalled on it. */
  readonly crashes: number;
  readonly submittedAt: number;
  readonly lease: Lease;
  /** Aborts with a `MirumojiError`: the worker stops or the lease is lost. */
  readonly signal: AbortSignal;
  /** Aborts with `CANCELLED`: somebody wants the job to stop. What is undone then must not be aborted. */
  readonly cancelled: AbortController;
}

/** How a delivery ended. */
export type DeliveryResult =
  | { readonly kind: "completed"; readonly summary: JobSummary; readonly settle: () => Promise<void> }
  | {
      readonly kind: "failed";
      readonly code: string;
      readonly message: string;
      readonly settle: () => Promise<void>;
    }
  | { readonly kind: "delayed"; readonly delayMs: number }
  | { readonly kind: "slow"; readonly pauseMs: number }
  | { readonly kind: "released" }
  /** Another worker owns the job. */
  | { readonly kind: "fenced" };

export interface ConsumerOptions {
  readonly queue: Queue;
  readonly redis: Redis;
  readonly prefix: string;
  readonly concurrency: number;
  /** How long a lease holds without renewal; a third of it is the renewal interval. */
  readonly leaseMs: number;
  /** How often dead workers' jobs are looked for. */
  readonly stalledIntervalMs: number;
  readonly handle: (
    delivery: Delivery,
    trace: Pick<TracedDelivery, "carrier" | "adopt">,
  ) => Promise<DeliveryResult>;
  /** BullMQ failed a job of its own accord, without ever handing it over. */
  readonly onFailedUnseen?: (job: { jobId: string; name: string; message: string }) => void;
  readonly onError: (error: unknown) => void;
  readonly now: () => number;
}

export interface Consumer {
  /** Stops taking jobs, aborts the running ones with `INTERRUPTED` and waits until all are handed back. */
  stop(): Promise<void>;
  /** The jobs that run here now. */
  activeIds(): string[];
  /** Tells a job that runs here that somebody wants it to stop; others are not known here. */
  cancel(jobId: string): void;
  /** Since Redis was last asked for a job; 0 while there is no room for one. */
  sincePollMs(): number;
}

/** Knows when it last asked for a job and got an answer. */
class PollingWorker extends Worker {
  polledAt = Date.now();

  protected override async moveToActive(token: string, name?: string): Promise<Job> {
    const job = await super.moveToActive(token, name);
    this.polledAt = Date.now();
    return job;
  }
}

/** How often a worker looks whether its leases have run out. */
const LEASE_CLOCK_MS = 100;

/** A job that runs here. */
interface Holding {
  /** Aborts when the work on it must stop here. */
  readonly stop: AbortController;
  readonly cancelled: AbortController;
  /** The lease is ours for its length from here. */
  renewed: Moment;
}

/** A moment on both clocks: one can be set back, the other may stand still while the machine sleeps. */
interface Moment {
  readonly wall: number;
  readonly steady: number;
}

const thisMoment = (): Moment => ({ wall: Date.now(), steady: performance.now() });

/** How long ago, by the clock that saw more of it. */
function msSince({ wall, steady }: Moment): number {
  return Math.max(Date.now() - wall, performance.now() - steady);
}

/**
 * Takes jobs from one queue. `maxStalledCount` is out of the way on purpose: at BullMQ's default two
 * crashes fail a job without calling the processor, and nothing would clean up; the runner has its own
 * crash budget.
 */
export function startConsumer(options: ConsumerOptions): Consumer {
  const { queue, redis, prefix } = options;
  const active = new Map<string, Holding>();
  let stopping: MirumojiError | null = null;

  const worker = new PollingWorker(
    queue.name,
    // Three parameters on purpose: BullMQ passes a signal only to processors that declare it.
    async (job: Job, token: string | undefined, bullSignal: AbortSignal | undefined) => {
      const controller = new AbortController();
      const cancelled = new AbortController();
      const jobId = job.id ?? "";
      const holding: Holding = { stop: controller, cancelled, renewed: thisMoment() };
      active.set(jobId, holding);
      bullSignal?.addEventListener("abort", () => controller.abort(leaseLost()), { once: true });
      // Taken in the moment in which we stop.
      if (stopping !== null) controller.abort(stopping);
      try {
        const lease = createLease(redis, { prefix, queue: queue.name, jobId, token: token ?? "" });
        const delivery: Delivery = {
          jobId,
          queue: queue.name,
          name: job.name,
          data: job.data,
          isFirst: job.attemptsStarted <= 1 && job.stalledCounter === 0,
          crashes: job.stalledCounter,
          submittedAt: job.timestamp,
          lease,
          signal: controller.signal,
          cancelled,
        };
        const { job: key } = jobKeys(prefix, queue.name, jobId);
        const result = await options.handle(delivery, {
          carrier: carrierOf(job),
          adopt: async (carrier) => await adoptCarrier(redis, key, carrier),
        });
        return await hand(job, token, result);
      } catch (error) {
        if (isVerdict(error)) throw error;
        // Nothing is known about the job, so nothing may be said: when the lease has run out, it is taken again.
        options.onError(error);
        throw new WaitingError();
      } finally {
        // After a lost lease this worker may have taken the same job again.
        if (active.get(jobId) === holding) active.delete(jobId);
        // Full until now: there was no room to ask for more.
        worker.polledAt = Date.now();
      }
    },
    {
      connection: redis,
      prefix,
      concurrency: options.concurrency,
      lockDuration: options.leaseMs,
      lockRenewTime: Math.floor(options.leaseMs / 3),
      stalledInterval: options.stalledIntervalMs,
      maxStalledCount: Number.MAX_SAFE_INTEGER,
    },
  );

  /** Weak, because a job that BullMQ refuses to finish (the lease is gone) is never settled here. */
  const settlers = new WeakMap<Job, () => Promise<void>>();
  const settling = new Set<Promise<void>>();
  let hasHandedBack = false;
  /**
   * What wakes a waiting worker is taken by the one that has waited longest, and that may have been a connection of
   * ours that was being closed; others would look by themselves some seconds later.
   */
  const wakeOthers = async (): Promise<void> => {
    if (hasHandedBack && (await redis.llen(queue.toKey("wait"))) > 0) {
      await redis.zadd(queue.toKey("marker"), 0, "0");
    }
  };
  /** Tells BullMQ, in its own words, what became of the job. */
  async function hand(job: Job, token: string | undefined, result: DeliveryResult): Promise<JobSummary> {
    switch (result.kind) {
      case "completed":
        settlers.set(job, result.settle);
        return result.summary;
      case "failed":
        settlers.set(job, result.settle);
        throw new UnrecoverableError(`${result.code}: ${result.message}`);
      case "delayed":
        await job.moveToDelayed(options.now() + result.delayMs, token);
        throw new DelayedError();
      case "slow":
        await queue.rateLimit(result.pauseMs);
        throw new RateLimitError();
      case "released":
        await job.moveToWait(token);
        hasHandedBack = true;
        throw new WaitingError();
      case "fenced":
        // Not ours any more: BullMQ is told that it moved, so that it writes nothing.
        throw new WaitingError();
    }
  }
  const settle = (job: Job | undefined) => {
    const run = job === undefined ? undefined : settlers.get(job);
    if (run === undefined) return;
    const settled = run()
      .catch(options.onError)
      .finally(() => settling.delete(settled));
    settling.add(settled);
  };
  worker.on("completed", (job) => settle(job));
  worker.on("failed", (job, { message }) => {
    if (job === undefined || settlers.has(job)) settle(job);
    else options.onFailedUnseen?.({ jobId: job.id ?? "", name: job.name, message });
  });
  worker.on("lockRenewalFailed", (jobIds) => {
    for (const id of jobIds) active.get(id)?.stop.abort(leaseLost());
  });
  worker.on("locksRenewed", ({ jobIds }) => {
    for (const id of jobIds) {
      const holding = active.get(id);
      if (holding !== undefined) holding.renewed = thisMoment();
    }
  });
  // Redis cannot tell us that a lease is lost when it cannot be reached, nor a process that was frozen in time:
  // by our own clock we know that others have the job before we touch anything of it again.
  const leaseClock = setInterval(() => {
    for (const { stop, renewed } of active.values()) {
      if (msSince(renewed) > options.leaseMs) stop.abort(leaseLost());
    }
  }, LEASE_CLOCK_MS);
  worker.on("stalled", (jobId) => {
    repairData(redis, prefix, queue.name, jobId).catch(options.onError);
  });
  worker.on("error", options.onError);

  return {
    activeIds: () => [...active.keys()],
    sincePollMs: () => (active.size >= options.concurrency ? 0 : Date.now() - worker.polledAt),
    cancel: (jobId) => {
      active.get(jobId)?.cancelled.abort(new MirumojiError("CANCELLED", "cancelled on request"));
    },
    async stop() {
      const closing = worker.close();
      stopping = new MirumojiError("INTERRUPTED", "the worker is stopping");
      for (const { stop } of active.values()) stop.abort(stopping);
      await closing;
      clearInterval(leaseClock);
      await Promise.all(settling);
      await wakeOthers().catch(options.onError);
    },
  };
}

/** What `hand` tells BullMQ by throwing. */
function isVerdict(error: unknown): boolean {
  return [DelayedError, RateLimitError, UnrecoverableError, WaitingError].some(
    (kind) => error instanceof kind,
  );
}

function leaseLost(): MirumojiError {
  return new MirumojiError("LEASE_LOST", "another worker owns the job now");
}
