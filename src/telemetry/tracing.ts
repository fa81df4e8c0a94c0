import type { TracingSettings } from "../config/tracing.ts";
import type { JobEventSubscriber } from "./event-bus.ts";
import type { WatchTransfer } from "./metrics/transfers.ts";

/** A job in its queue, as its trace names it. */
export interface TracedJob {
  readonly queue: string;
  readonly jobId: string;
}

/** What travels with a job so that every process goes on in the same trace: BullMQ's `telemetry.metadata`. */
export type TraceCarrier = string;

/** A job as a worker gets it. */
export interface TracedDelivery extends TracedJob {
  /** Null where whoever queued the job traced nothing. */
  readonly carrier: TraceCarrier | null;
  /** Makes the carrier the job's, unless another worker was faster; gives the one that counts. */
  readonly adopt: (carrier: TraceCarrier) => Promise<TraceCarrier>;
  readonly isFirst: boolean;
  readonly crashes: number;
  /** Epoch milliseconds. */
  readonly submittedAt: number;
}

/** One RPC that is over. */
export interface TracedRpc {
  /** `modal.client.ModalClient/FunctionMap` */
  readonly path: string;
  readonly code: string;
  readonly ms: number;
}

/** This process's part in the traces of jobs. */
export interface Tracing {
  /** Puts a job into its queue; what `send` is given must travel with the job. */
  submit<T>(job: TracedJob, send: (carrier: TraceCarrier | undefined) => Promise<T>): Promise<T>;
  /** Does something to a job from outside its run. `find` gives its carrier, and is called only when traced. */
  ask<T>(
    what: "cancel" | "retry" | "reap",
    job: TracedJob,
    find: () => Promise<TraceCarrier | null>,
    act: (answered: (answer: string) => void) => Promise<T>,
  ): Promise<T>;
  /** Runs a delivery; what happens inside belongs to the job's trace. */
  deliver<T>(delivery: TracedDelivery, run: () => Promise<T>): Promise<T>;
  readonly subscriber: JobEventSubscriber;
  readonly watchTransfer: WatchTransfer;
  readonly observeRpc: (rpc: TracedRpc) => void;
  /** Sends what is not sent yet, within a bound. Never throws. */
  close(): Promise<void>;
}

/** Traces nothing and costs nothing. */
export const NO_TRACING: Tracing = {
  submit: async (_job, send) => await send(undefined),
  ask: async (_what, _job, _find, act) => await act(() => undefined),
  deliver: async (_delivery, run) => await run(),
  subscriber: () => undefined,
  watchTransfer: () => ({ moved: () => undefined, end: () => undefined }),
  observeRpc: () => undefined,
  close: async () => await Promise.resolve(),
};

export interface TracingOptions {
  readonly role: "worker" | "api" | "client";
  readonly version: string;
  /** Told once when traces cannot be sent, and once when they can again. */
  readonly onProblem: (message: string) => void;
}

/** Opens tracing. Without settings nothing of OpenTelemetry is loaded. */
export async function openTracing(
  settings: TracingSettings | null,
  options: TracingOptions,
): Promise<Tracing> {
  if (settings === null) return NO_TRACING;
  const { openOtelTracing } = await import("./traces/sdk.ts");
  return openOtelTracing(settings, options);
}
