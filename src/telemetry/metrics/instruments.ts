import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { RPC_SECONDS, SHORT_SECONDS, LONG_SECONDS } from "./buckets.ts";

/** Counters and histograms of events. Names follow Prometheus: base units, `_total` on counters. */
export type Instruments = ReturnType<typeof createInstruments>;

export function createInstruments(registry: Registry) {
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
    new Counter({ name: `mirumoji_${name}`, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
    new Gauge({ name: `mirumoji_${name}`, help, labelNames, registers });
  const histogram = <L extends string>(name: string, help: string, buckets: number[], ...labelNames: L[]) =>
    new Histogram({ name: `mirumoji_${name}`, help, buckets, labelNames, registers });
  return {
    jobsStarted: counter("jobs_started_total", "Jobs that a worker took for the first time.", "type"),
    jobsFinished: counter(
      "jobs_finished_total",
      "Jobs that ended, by type, status and failure code.",
      "type",
      "status",
      "code",
    ),
    jobSeconds: histogram(
      "job_duration_seconds",
      "Time from first activation to the end.",
      LONG_SECONDS,
      "type",
      "status",
    ),
    waitSeconds: histogram(
      "job_wait_seconds",
      "Time in the queue before the first activation.",
      LONG_SECONDS,
      "type",
    ),
    stateSeconds: histogram(
      "state_duration_seconds",
      "Time in a state until the machine left it, retries and their pauses included.",
      LONG_SECONDS,
      "type",
      "state",
    ),
    attempts: counter(
      "step_attempts_total",
      "Tries of steps, by outcome and failure code.",
      "type",
      "state",
      "outcome",
      "code",
    ),
    retries: counter(
      "step_retries_total",
      "Tries of steps that are to be repeated, by the code of the reason.",
      "state",
      "code",
    ),
    resumed: counter(
      "jobs_resumed_total",
      "Activations that went on from a checkpoint, by its state.",
      "type",
      "state",
    ),
    released: counter(
      "jobs_handed_over_total",
      "Jobs that a stopping worker gave back to the queue, by their state.",
      "type",
      "state",
    ),
    fenced: counter(
      "stale_writes_refused_total",
      "Checkpoint writes refused because another worker owns the job.",
    ),
    cancelSeconds: histogram(
      "cancel_duration_seconds",
      "Time from the request to cancel to the end of the job, volume and call included.",
      SHORT_SECONDS,
      "type",
    ),
    cleanupFailures: counter(
      "cleanup_failures_total",
      "Clean-ups that did not work and were left to the reaper, by what was tried.",
      "action",
    ),
    reaped: counter("leftovers_reaped_total", "Volumes that nobody owned and the reaper removed.", "reason"),
    reapFailures: counter("leftover_failures_total", "Volumes that the reaper could not remove."),
    unreadable: counter(
      "unreadable_records_total",
      "Records in Redis, and messages, that could not be read; a volume or checkpoint counts in every round.",
      "record",
    ),
    loginFailures: counter(
      "login_failures_total",
      "Logins that were not let in: wrong ones, and those that too many wrong ones had come before.",
      "reason",
    ),
    webhooks: counter(
      "webhook_tries_total",
      "Tries to deliver a webhook: delivered, failed (and tried again), dead (given up).",
      "outcome",
    ),
    calls: counter("gpu_calls_total", "GPU calls that ended, by outcome.", "type", "outcome"),
    callWaitSeconds: histogram(
      "gpu_call_wait_seconds",
      "Time from opening a call to the start of its function: Modal's queue and the cold start.",
      LONG_SECONDS,
      "type",
    ),
    callRunSeconds: histogram(
      "gpu_call_run_seconds",
      "Time that the function ran, by the server's clock.",
      LONG_SECONDS,
      "type",
    ),
    callProgress: counter("gpu_call_progress_total", "Signs of life that running calls gave.", "type"),
    gpuSeconds: counter(
      "gpu_seconds_total",
      "Seconds that functions ran on a GPU. Of calls that gave no result, from opening to end.",
      "type",
      "gpu",
      "outcome",
    ),
    gpuCost: counter(
      "gpu_cost_usd_total",
      "Estimated cost of GPU seconds in USD, by the configured price table.",
      "type",
      "gpu",
      "outcome",
    ),
    gpuPrice: gauge(
      "gpu_price_usd_per_second",
      "Price of a GPU second that the estimate uses, with the day of the price table.",
      "gpu",
      "as_of",
    ),
    workSeconds: counter(
      "engine_seconds_total",
      "Seconds that the speech engine or encoder worked, by the handler's clock.",
      "type",
    ),
    mediaSeconds: counter("media_seconds_total", "Seconds of media that completed jobs processed.", "type"),
    transferBytes: counter(
      "transfer_bytes_total",
      "Bytes of files moved to and from volumes, counted as they move.",
      "direction",
    ),
    transferSaved: counter(
      "transfer_saved_bytes_total",
      "Bytes of inputs that did not have to travel: all but the audio, zero tails, blocks that were there already.",
    ),
    transferSeconds: histogram(
      "transfer_duration_seconds",
      "Time of one file's transfer, hashing and listing included.",
      LONG_SECONDS,
      "direction",
      "outcome",
    ),
    transfersInFlight: gauge("transfers_in_flight", "Transfers that run here now.", "direction"),
    rpcs: counter("modal_rpcs_total", "Modal control-plane requests, by method and code.", "method", "code"),
    rpcSeconds: histogram(
      "modal_rpc_duration_seconds",
      "Time of Modal control-plane requests; long polls included.",
      RPC_SECONDS,
      "method",
    ),
    info: gauge("build_info", "Always 1; the labels say what runs.", "version", "node", "role"),
  };
}
