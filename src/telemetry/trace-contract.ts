import type { JobEventSubscriber } from "./event-bus.ts";
import type { WatchTransfer } from "./metrics/transfers.ts";

/** Identity of a job in its trace. */
export interface TracedJob {
  readonly queue: string;
  readonly jobId: string;
}

/** The trace context that travels with a job between processes: BullMQ's `telemetry.metadata`. */
export type TraceCarrier = string;

/** Delivery of a job to a worker. */
export interface TracedDelivery extends TracedJob {
  /** Null where the producer traced nothing. */
  readonly carrier: TraceCarrier | null;
  /** Stores the carrier with the job, unless another worker was faster; gives the stored one. */
  readonly adopt: (carrier: TraceCarrier) => Promise<TraceCarrier>;
  readonly isFirst: boolean;
  readonly crashes: number;
  /** In epoch milliseconds. */
  readonly submittedAt: number;
}

/** One finished RPC. */
export interface TracedRpc {
  /** `modal.client.ModalClient/FunctionMap` */
  readonly path: string;
  readonly code: string;
  readonly ms: number;
}

/** Tracing of jobs in this process. */
export interface Tracing {
  /** Traces the submission of a job; the carrier given to `send` must travel with the job. */
  submit<T>(job: TracedJob, send: (carrier: TraceCarrier | undefined) => Promise<T>): Promise<T>;
  /** Adds a command that acts on a job from outside its run. `find` gives its carrier; called only when traced. */
  traceCommand<T>(
    command: "cancel" | "retry" | "reap",
    job: TracedJob,
    find: () => Promise<TraceCarrier | null>,
    act: (answered: (answer: string) => void) => Promise<T>,
  ): Promise<T>;
  /** Runs a delivery within the job's trace. */
  deliver<T>(delivery: TracedDelivery, run: () => Promise<T>): Promise<T>;
  readonly subscriber: JobEventSubscriber;
  readonly watchTransfer: WatchTransfer;
  readonly observeRpc: (rpc: TracedRpc) => void;
  /** Sends the remaining spans, within a few seconds. Never throws. */
  close(): Promise<void>;
}

export interface TracingOptions {
  readonly role: "worker" | "api" | "client";
  readonly version: string;
  /** Called once when sending begins to fail, and once when it works again. */
  readonly onProblem: (message: string) => void;
}
