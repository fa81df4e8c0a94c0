import { AsyncLocalStorage } from "node:async_hooks";

/** Position of the running code in the trace of its job. */
export interface ActiveTrace {
  /** `trace_id` and `span_id`, the field names that OpenTelemetry uses in logs. */
  logFields(): Record<string, string>;
}

/** Trace of the job that the running code works for; set only for traced jobs. */
export const activeTrace = new AsyncLocalStorage<ActiveTrace>();

/** Trace fields of a log line; empty outside a trace. */
export function traceFields(): Record<string, string> {
  return activeTrace.getStore()?.logFields() ?? {};
}
