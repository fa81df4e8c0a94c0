import { isJobType, JOB_TYPES, type JobType } from "../job/contract.ts";
import type { JobEvents } from "../job/events.ts";
import type { RedisConnection } from "../queue/connection.ts";
import { Consumer } from "../queue/consumer.ts";
import { createJobIndex } from "../queue/job-index.ts";
import { resumeBatches } from "../queue/batches.ts";
import { endLeftTurns, pruneTenantDays } from "../queue/tenants.ts";
import { pruneBudgetSums, releaseLeftReservations } from "../queue/budgets.ts";
import type { PoolPause } from "../queue/pool-pause.ts";
import { takeEnded } from "../queue/ended-jobs.ts";
import { pruneExpenses } from "../queue/expenses.ts";
import type { Ledger } from "../queue/ledger.ts";
import { type Queues, RETENTION } from "../queue/queues.ts";
import type { Replicas } from "../queue/replicas.ts";
import type { RunJob } from "../runner/run-job.ts";
import type { RunnerTools } from "../runner/job-run.ts";
import { openCancelFeed } from "../queue/cancel-feed.ts";
import type { Tracing } from "../telemetry/trace-contract.ts";
import { startCancelWatcher } from "./cancel-watcher.ts";
import { type CaretakerOptions, startCaretaker } from "./caretaker.ts";
import { startDiskWatch } from "./disk-watch.ts";
import { type Hold, Intake } from "./intake.ts";
import { type PlatformWatch, type PlatformWatchOptions, startPlatformWatch } from "./platform-watch.ts";
import type { PrefixClaim } from "./prefix-claim.ts";
import type { HealthCheck } from "./health.ts";

/** A dead worker's job is taken over when its lease has run out and two sweeps have seen it. */
const SWEEPS_PER_LEASE = 3;

export interface WorkerPoolOptions extends Pick<
  CaretakerOptions,
  "leadership" | "heartbeatMs" | "onReaped" | "onUnreadable"
> {
  readonly redis: RedisConnection;
  readonly prefix: string;
  readonly queues: Queues;
  readonly ledger: Ledger;
  readonly pause: PoolPause;
  readonly claim: PrefixClaim;
  readonly tools: Omit<RunnerTools, "platform">;
  /** How trouble with Modal is looked into and told. */
  readonly platform: Pick<PlatformWatchOptions, "probing" | "probe" | "renewToken" | "onChange">;
  readonly concurrency: Record<JobType, number>;
  /** How long a worker that is not heard of keeps its jobs. */
  readonly leaseMs: number;
  readonly replicas: Replicas;
  readonly run: RunJob;
  readonly tracing: Tracing;
  /** Says what is wrong with the disk for results, if anything is. */
  readonly checkDisk: HealthCheck;
  /** Told when jobs are taken no more because of the disk, with the reason, and with null when they are again. */
  readonly onDisk: (problem: string | null) => void;
  readonly onError: (error: unknown, context: string) => void;
}

export interface WorkerPool {
  /** Jobs that run here now, of one type or of both. */
  activeCount(type?: JobType): number;
  /** Since the consumer that asked for a job the longest time ago did so; those without room do not count. */
  sincePollMs(): number;
  /** Why no jobs are taken, if there is a reason. */
  holds(): ReadonlyMap<Hold, string>;
  /** Tells of trouble with Modal that no job met. */
  report: PlatformWatch["report"];
  /** Stops taking jobs, hands the running ones back to the queue and leaves their GPU calls running. */
  stop(): Promise<void>;
}

/** Takes jobs of both types until stopped. */
export function startWorkerPool(options: WorkerPoolOptions): WorkerPool {
  const { redis, prefix, tracing } = options;
  /** Ends that no run of a job could tell of. */
  const tellEnd = (job: Pick<JobEvents["job.finished"], "jobId" | "type" | "status" | "code" | "message">) =>
    options.tools.emit("job.finished", { ...job, ms: 0, report: null });
  const consume = (type: JobType): Consumer =>
    new Consumer({
      queue: options.queues[type],
      redis,
      prefix,
      concurrency: options.concurrency[type],
      leaseMs: options.leaseMs,
      replicas: options.replicas,
      stalledIntervalMs: Math.round(options.leaseMs / SWEEPS_PER_LEASE),
      handle: async (delivery, trace) =>
        await tracing.deliver(
          { ...delivery, ...trace },
          async () => await options.run(delivery, { ...options.tools, platform }),
        ),
      onFailedUnseen: ({ jobId, name, message }) =>
        tellEnd({
          jobId,
          type: isJobType(name) ? name : "unknown",
          status: "failed",
          code: "UNEXPECTED",
          message,
        }),
      onUnreadable: options.onUnreadable,
      onError: (error) => options.onError(error, `${type} consumer`),
      now: options.tools.now,
    });
  const consumers = { transcribe: consume("transcribe"), convert: consume("convert") };
  const everyone = JOB_TYPES.map((type) => consumers[type]);
  const intake = new Intake(everyone);
  options.claim.start(intake).catch((error: unknown) => options.onError(error, "claim of the queues"));
  const platform = startPlatformWatch({
    ...options.platform,
    pause: options.pause,
    intake,
    onError: (error) => options.onError(error, "pause of the pool"),
  });
  const watcher = startCancelWatcher({
    feed: openCancelFeed(redis, prefix, {
      onError: (error) => options.onError(error, "cancel channel"),
      onUnreadable: options.onUnreadable,
    }),
    consumers,
    onError: options.onError,
  });
  const disk = startDiskWatch({
    check: options.checkDisk,
    intake,
    onChange: options.onDisk,
    onError: (error) => options.onError(error, "disk watch"),
  });
  const caretaker = startCaretaker({
    ...options,
    ...options.tools,
    isAtFault: () => platform.isAtFault() || !options.claim.isHeld,
    prune: async () => {
      const now = options.tools.now();
      // Younger ones are kept, or were removed by somebody who took them out of the index too.
      const oldest = now - RETENTION.removeOnComplete.age * 1000;
      await createJobIndex(redis, options.queues, prefix).prune(oldest);
      await pruneExpenses(redis, prefix, now);
      await pruneBudgetSums(redis, prefix, now);
      await releaseLeftReservations(redis, prefix);
      await pruneTenantDays(redis, prefix, now);
    },
    tellEnded: async () => {
      const { queues } = options;
      // Soon: until then they count against what their tenant may have running.
      await endLeftTurns(redis, prefix);
      await resumeBatches({ redis, prefix, queues, index: createJobIndex(redis, queues, prefix) });
      for (const job of await takeEnded(redis, prefix, options.onUnreadable)) {
        tellEnd({ ...job, status: "cancelled", code: "CANCELLED", message: "cancelled in the queue" });
      }
    },
  });
  return {
    activeCount: (type) =>
      (type === undefined ? everyone : [consumers[type]]).reduce(
        (sum, consumer) => sum + consumer.activeIds().length,
        0,
      ),
    holds: () => intake.reasons,
    report: async (error) => await platform.report(error),
    sincePollMs: () => Math.max(...everyone.map((consumer) => consumer.sincePollMs())),
    async stop() {
      disk.stop();
      await options.claim.stop();
      await platform.stop();
      await Promise.all(everyone.map(async (consumer) => await consumer.stop()));
      await watcher.stop();
      await caretaker.stop();
      options.replicas.close();
    },
  };
}
