import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import { isErrorCode } from "../job/errors.ts";
import type { JobEventName, JobEvents } from "../job/events.ts";
import type { JobEventSubscriber } from "./event-bus.ts";

/** Seconds; media jobs take minutes and hours, which the usual buckets stop short of. */
const LONG_SECONDS = [0.1, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600, 1200, 2400, 3600, 7200, 14_400];

/** The process's metrics, in a registry of our own. Names follow Prometheus: base units, `_total` on counters. */
export interface Metrics {
  readonly registry: Registry;
  readonly subscriber: JobEventSubscriber;
  /** Sets the depth of the queues; asked for on every scrape. */
  readonly collectDepth: (collect: () => Promise<readonly QueueDepth[]>) => void;
  readonly observeRpc: (event: { method: string; code: string; ms: number }) => void;
}

export interface QueueDepth {
  readonly queue: string;
  readonly state: string;
  readonly jobs: number;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const finished = new Counter({
    name: "mirumoji_jobs_finished_total",
    help: "Jobs that ended, by type, status and failure code.",
    labelNames: ["type", "status", "code"],
    registers,
  });
  const jobSeconds = new Histogram({
    name: "mirumoji_job_duration_seconds",
    help: "Time from first activation to the end.",
    labelNames: ["type", "status"],
    buckets: LONG_SECONDS,
    registers,
  });
  const waitSeconds = new Histogram({
    name: "mirumoji_job_wait_seconds",
    help: "Time in the queue before the first activation.",
    labelNames: ["type"],
    buckets: LONG_SECONDS,
    registers,
  });
  const stateSeconds = new Histogram({
    name: "mirumoji_state_duration_seconds",
    help: "Time in a state until the machine left it.",
    labelNames: ["type", "state"],
    buckets: LONG_SECONDS,
    registers,
  });
  const attempts = new Counter({
    name: "mirumoji_step_attempts_total",
    help: "Tries of steps, by outcome and failure code.",
    labelNames: ["type", "state", "outcome", "code"],
    registers,
  });
  const fenced = new Counter({
    name: "mirumoji_stale_writes_refused_total",
    help: "Checkpoint writes refused because another worker owns the job.",
    registers,
  });
  const resumed = new Counter({
    name: "mirumoji_jobs_resumed_total",
    help: "Activations that went on from a checkpoint, by its state.",
    labelNames: ["type", "state"],
    registers,
  });
  const gpuSeconds = new Counter({
    name: "mirumoji_gpu_seconds_total",
    help: "Seconds of engine or encoder work, as the handler measured them.",
    labelNames: ["type"],
    registers,
  });
  const sentBytes = new Counter({
    name: "mirumoji_sent_bytes_total",
    help: "Bytes of input that were sent, zero tails of blocks left out.",
    labelNames: ["type"],
    registers,
  });
  const rpcSeconds = new Histogram({
    name: "mirumoji_modal_rpc_duration_seconds",
    help: "Modal control-plane requests, by method and code; long polls included.",
    labelNames: ["method", "code"],
    buckets: [0.005, 0.02, 0.1, 0.5, 1, 5, 15, 60],
    registers,
  });

  const handlers: { [N in JobEventName]?: (event: JobEvents[N]) => void } = {
    "job.started": ({ type, waitedMs, resumedAt }) => {
      if (resumedAt === null) waitSeconds.observe({ type }, waitedMs / 1000);
      else resumed.inc({ type, state: resumedAt });
    },
    "step.finished": ({ type, state, outcome, code }) =>
      attempts.inc({ type, state, outcome, code: code ?? "none" }),
    "job.moved": ({ type, from, ms }) => stateSeconds.observe({ type, state: from }, ms / 1000),
    "job.fenced": () => fenced.inc(),
    "job.finished": ({ type, status, code, ms, report }) => {
      finished.inc({ type, status, code: isErrorCode(code) ? code : "none" });
      jobSeconds.observe({ type, status }, ms / 1000);
      if (report === null) return;
      gpuSeconds.inc({ type }, report.gpuSeconds);
      sentBytes.inc({ type }, report.sentBytes);
    },
  };
  return {
    registry,
    subscriber: (name, event) => handlers[name]?.(event),
    observeRpc: ({ method, code, ms }) => rpcSeconds.observe({ method, code }, ms / 1000),
    collectDepth: (collect) => {
      new Gauge({
        name: "mirumoji_queue_jobs",
        help: "Jobs by queue and BullMQ state.",
        labelNames: ["queue", "state"],
        registers,
        async collect() {
          for (const { queue, state, jobs } of await collect()) this.set({ queue, state }, jobs);
        },
      });
    },
  };
}
