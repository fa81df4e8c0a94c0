import type { EmitJobEvent, JobEventName, JobEvents } from "../job/events.ts";

/** Handles every event of the catalogue. */
export type JobEventSubscriber = <N extends JobEventName>(name: N, event: JobEvents[N]) => void;

/**
 * Sends each event to all subscribers; one that throws is reported and disturbs neither the job nor the
 * others.
 */
export function createEventBus(
  subscribers: readonly JobEventSubscriber[],
  onError: (error: unknown) => void,
): EmitJobEvent {
  return (name, event) => {
    for (const subscriber of subscribers) {
      try {
        subscriber(name, event);
      } catch (error) {
        onError(error);
      }
    }
  };
}
