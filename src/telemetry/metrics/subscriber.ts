import type { JobEventName, JobEvents } from "../../job/events.ts";
import type { JobEventSubscriber } from "../event-bus.ts";
import type { InFlightJobs } from "./in-flight.ts";
import type { Instruments } from "./instruments.ts";
import { CALL_OUTCOMES, CLEANUPS, codeLabel, oneOf, OUTCOMES, STATES, STATUSES, TYPES } from "./labels.ts";

/** Counts job events. */
export function metricsSubscriber(instruments: Instruments, inFlight: InFlightJobs): JobEventSubscriber {
  const typeOf = (event: { readonly type: string }) => oneOf(TYPES, event.type);
  const stateOf = (event: { readonly state: string }) => oneOf(STATES, event.state);
  const handlers: { [N in JobEventName]?: (event: JobEvents[N]) => void } = {
    "job.started": (event) => {
      const type = typeOf(event);
      inFlight.enter(event.jobId, type, event.resumedAt ?? "createVolume", event.inStateMs);
      if (event.resumedAt === null) {
        instruments.jobsStarted.inc({ type });
        instruments.waitSeconds.observe({ type }, event.waitedMs / 1000);
      } else {
        instruments.resumed.inc({ type, state: oneOf(STATES, event.resumedAt) });
      }
    },
    "step.finished": (event) => {
      const labels = { type: typeOf(event), state: stateOf(event) };
      const outcome = oneOf(OUTCOMES, event.outcome);
      instruments.attempts.inc({ ...labels, outcome, code: codeLabel(event.code) });
    },
    "job.moved": (event) => {
      const labels = { type: typeOf(event), state: oneOf(STATES, event.from) };
      instruments.stateSeconds.observe(labels, event.ms / 1000);
      inFlight.enter(event.jobId, labels.type, event.to);
    },
    "job.delayed": (event) => {
      instruments.retries.inc({ state: stateOf(event), code: codeLabel(event.code) });
      inFlight.pause(event.jobId, typeOf(event), event.delayMs);
    },
    "job.released": (event) => {
      instruments.released.inc({ type: typeOf(event), state: stateOf(event) });
      inFlight.leave(event.jobId, typeOf(event));
    },
    "job.fenced": (event) => {
      instruments.fenced.inc();
      inFlight.leave(event.jobId, typeOf(event));
    },
    "job.finished": (event) => {
      const labels = { type: typeOf(event), status: oneOf(STATUSES, event.status) };
      instruments.jobsFinished.inc({ ...labels, code: codeLabel(event.code) });
      instruments.jobSeconds.observe(labels, event.ms / 1000);
      inFlight.leave(event.jobId, typeOf(event));
      if (event.status !== "completed" || event.report === null) return;
      instruments.workSeconds.inc({ type: labels.type }, event.report.gpuSeconds);
      instruments.mediaSeconds.inc({ type: labels.type }, event.report.mediaSeconds);
    },
    "call.finished": (event) => {
      const type = typeOf(event);
      const outcome = oneOf(CALL_OUTCOMES, event.outcome);
      instruments.calls.inc({ type, outcome });
      if (event.runMs !== null) {
        instruments.callRunSeconds.observe({ type }, event.runMs / 1000);
        if (event.totalMs !== null) {
          instruments.callWaitSeconds.observe({ type }, Math.max(0, event.totalMs - event.runMs) / 1000);
        }
      }
      const { gpu, seconds, usd } = event.paid;
      instruments.gpuSeconds.inc({ type, gpu, outcome }, seconds);
      instruments.gpuCost.inc({ type, gpu, outcome }, usd ?? 0);
    },
    "call.progress": (event) => instruments.callProgress.inc({ type: typeOf(event) }),
    "call.log": (event) => instruments.callProgress.inc({ type: typeOf(event) }),
    "cleanup.failed": (event) => instruments.cleanupFailures.inc({ action: oneOf(CLEANUPS, event.action) }),
  };
  return (name, event) => handlers[name]?.(event);
}
