import { AsyncLocalStorage } from "node:async_hooks";

/** Says where the running code stands in the trace of its job. */
export interface ActiveTrace {
  /** `trace_id` and `span_id`, as OpenTelemetry wants them in logs. */
  logFields(): Record<string, string>;
}

/** The job that the running code works for; set only while jobs are traced. */
export const activeTrace = new AsyncLocalStorage<ActiveTrace>();

/** For every log line: its place in a trace, if it has one. */
export function traceFields(): Record<string, string> {
  return activeTrace.getStore()?.logFields() ?? {};
}
