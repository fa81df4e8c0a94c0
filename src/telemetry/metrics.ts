import { collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { GpuPrice } from "../job/receipt.ts";
import { JOB_TYPES, type JobType } from "../job/contract.ts";
import type { JobEventSubscriber } from "./event-bus.ts";
import { collectPool, type PoolState } from "./metrics/collectors.ts";
import { InFlightJobs, showInFlight } from "./metrics/in-flight.ts";
import { createInstruments } from "./metrics/instruments.ts";
import { collectChecks } from "./metrics/checks.ts";
import { grpcCodeLabel, HOLD_REASONS, methodLabels, oneOf, REASONS, RECORDS } from "./metrics/labels.ts";
import { metricsSubscriber } from "./metrics/subscriber.ts";
import { type WatchTransfer, transferWatch } from "./metrics/transfers.ts";
import { startAtZero } from "./metrics/zero.ts";

/** prom-client gauges named like counters, which `promtool check metrics` refuses. */
const MISNAMED = [
  "nodejs_active_handles_total",
  "nodejs_active_requests_total",
  "nodejs_active_resources_total",
];

/** Metrics of this process, in a registry of its own. */
export interface Metrics {
  readonly registry: Registry;
  readonly subscriber: JobEventSubscriber;
  readonly watchTransfer: WatchTransfer;
  readonly observeRpc: (event: { method: string; code: string; ms: number }) => void;
  /** Records the cancellation of a running job; `ms` since the request. */
  readonly observeCancel: (type: JobType, ms: number) => void;
  /** Records something in Redis, or a message, that could not be read. */
  readonly observeUnreadable: (record: string) => void;
  readonly observeReaped: (reason: string, isRemoved: boolean) => void;
  /** Records a login that was not let in at the HTTP port. */
  readonly observeLoginFailure: (reason: "wrong" | "limited") => void;
  /** Records a try to deliver a webhook. */
  readonly observeWebhook: (outcome: "delivered" | "failed" | "dead") => void;
  /** Exposes the running jobs and their limits. */
  readonly showSlots: (
    slots: { readonly jobs: Readonly<Record<JobType, number>>; readonly transfers: number },
    active: (type: JobType) => number,
  ) => void;
  /** Exposes why no jobs are taken here. */
  readonly showHolds: (holds: () => ReadonlyMap<string, string>) => void;
  /** Exposes which checks of this process fail, asked on every scrape. */
  readonly showChecks: (checks: Readonly<Record<string, () => Promise<string | null>>>) => void;
  /** Exposes the pool's state in Redis, read on every scrape. */
  readonly showPool: (read: () => Promise<PoolState>) => void;
}

export interface MetricsOptions {
  readonly version: string;
  /** GPU that calls run on; null in a process that runs no jobs and therefore has no job series. */
  readonly gpu: GpuPrice | null;
  readonly now: () => number;
}

export function createMetrics({ version, gpu, now }: MetricsOptions): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED) registry.removeSingleMetric(name);
  const instruments = createInstruments(registry);
  for (const reason of ["wrong", "limited"]) instruments.loginFailures.inc({ reason }, 0);
  for (const outcome of ["delivered", "failed", "dead"]) instruments.webhooks.inc({ outcome }, 0);
  if (gpu !== null) startAtZero(instruments, gpu);
  instruments.info.set({ version, node: process.versions.node, role: gpu === null ? "api" : "worker" }, 1);
  const inFlight = new InFlightJobs(now);
  const method = methodLabels();
  return {
    registry,
    subscriber: metricsSubscriber(instruments, inFlight),
    watchTransfer: transferWatch(instruments, now),
    observeRpc: (event) => {
      const labels = { method: method(event.method) };
      instruments.rpcs.inc({ ...labels, code: grpcCodeLabel(event.code) });
      instruments.rpcSeconds.observe(labels, event.ms / 1000);
    },
    observeCancel: (type, ms) => instruments.cancelSeconds.observe({ type }, Math.max(0, ms) / 1000),
    observeUnreadable: (record) => instruments.unreadable.inc({ record: oneOf(RECORDS, record) }),
    observeReaped: (reason, isRemoved) => {
      if (isRemoved) instruments.reaped.inc({ reason: oneOf(REASONS, reason) });
      else instruments.reapFailures.inc();
    },
    observeLoginFailure: (reason) => instruments.loginFailures.inc({ reason }),
    observeWebhook: (outcome) => instruments.webhooks.inc({ outcome }),
    showSlots: ({ jobs: slots, transfers }, active) => {
      showInFlight(registry, inFlight, gpu?.usdPerSecond ?? 0);
      const registers = [registry];
      const limit = { labelNames: ["type"], registers };
      const jobSlots = new Gauge({
        name: "mirumoji_job_slots",
        help: "Jobs that may run here at a time.",
        ...limit,
      });
      const transferSlots = new Gauge({
        name: "mirumoji_transfer_slots",
        help: "Transfers that may move here at a time, up and down together; others wait their turn.",
        registers,
      });
      for (const type of JOB_TYPES) jobSlots.set({ type }, slots[type]);
      transferSlots.set(transfers);
      new Gauge({
        name: "mirumoji_jobs_in_flight",
        help: "Jobs that run here now.",
        ...limit,
        collect() {
          for (const type of JOB_TYPES) this.set({ type }, active(type));
        },
      });
    },
    showHolds: (holds) => {
      new Gauge({
        name: "mirumoji_intake_paused",
        help: "1 when this worker takes no jobs, by reason.",
        labelNames: ["reason"],
        registers: [registry],
        collect() {
          const held = holds();
          for (const reason of HOLD_REASONS) this.set({ reason }, held.has(reason) ? 1 : 0);
        },
      });
    },
    showChecks: (checks) => collectChecks(registry, checks),
    showPool: (read) => collectPool(registry, read),
  };
}
