import type { JobEventName, JobEvents } from "../../job/events.ts";
import type { JobEventSubscriber } from "../event-bus.ts";
import type { DeliveryTrace } from "./delivery-trace.ts";

const PARTINGS = { completed: "complete", failed: "fail", cancelled: "cancel" } as const;

type Handlers = { [N in JobEventName]?: (live: DeliveryTrace, event: JobEvents[N]) => void };

const HANDLERS: Handlers = {
  "job.started": (live, { resumedAt }) => live.received(resumedAt),
  "step.started": (live, { state, attempt }) => live.startStep(state, attempt),
  "step.finished": (live, event) => live.endStep(event),
  "job.moved": (live, event) => live.remember(event),
  "job.delayed": (live, { state, code, delayMs }) =>
    live.part("delay", code, { "mirumoji.state": state, "mirumoji.delay_seconds": delayMs / 1000 }),
  "job.released": (live, { state, code }) => live.part("release", code, { "mirumoji.state": state }),
  "job.fenced": (live, { state }) => live.part("leave", "LEASE_LOST", { "mirumoji.state": state }),
  "job.abandoned": (live) => live.part("leave", "UNEXPECTED"),
  "job.finished": (live, { status, code, report }) =>
    live.part(PARTINGS[status], code, {
      "mirumoji.status": status,
      ...(report === null
        ? {}
        : {
            "mirumoji.engine": report.engine,
            "mirumoji.media_seconds": report.mediaSeconds,
            "mirumoji.gpu_seconds": report.gpuSeconds,
            "mirumoji.input_bytes": report.inputBytes,
          }),
    }),
  "call.finished": (live, event) => live.call(event),
  "cleanup.failed": (live, { action }) => live.note("cleanup failed", { "mirumoji.action": action }),
};

/** Turns job events into spans; `current` gives the trace of the running code. */
export function traceSubscriber(current: () => DeliveryTrace | null): JobEventSubscriber {
  return <N extends JobEventName>(name: N, event: JobEvents[N]) => {
    const live = current();
    if (live !== null) HANDLERS[name]?.(live, event);
  };
}
