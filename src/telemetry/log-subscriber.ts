import type { JobEventName, JobEvents } from "../job/events.ts";
import type { JobEventSubscriber } from "./event-bus.ts";
import type { Logger } from "./logger.ts";

type Level = "trace" | "debug" | "info" | "warn" | "error";
type Lines = { [N in JobEventName]: (event: JobEvents[N]) => [Level, string] };

/** Level and message of every event; the event's fields are logged along. */
const LINES: Lines = {
  "job.started": ({ resumedAt }) => [
    "info",
    resumedAt === null ? "job started" : `job resumed at ${resumedAt}`,
  ],
  "step.started": ({ state, attempt }) => ["debug", `${state} started, try ${attempt}`],
  "step.warned": ({ state, message }) => ["warn", `${state}: ${message}`],
  "step.finished": ({ state, outcome, code, message }) => {
    if (outcome === "done") return ["debug", `${state} done`];
    if (outcome === "interrupted") return ["info", `${state} interrupted`];
    return ["warn", `${state}: ${code ?? outcome}: ${message ?? ""}`];
  },
  "job.moved": ({ from, to }) => ["info", `${from} -> ${to}`],
  "job.delayed": ({ state, delayMs }) => [
    "info",
    `${state} waits ${(delayMs / 1000).toFixed(1)} s for its next try`,
  ],
  "job.released": ({ state }) => ["info", `handed back in ${state}`],
  "job.fenced": ({ state }) => ["warn", `another worker owns the job; left it alone in ${state}`],
  "job.abandoned": ({ message }) => ["error", `left alone after an unforeseen error: ${message}`],
  "job.finished": ({ status, code, message }) =>
    status === "completed"
      ? ["info", "job completed"]
      : ["error", `job ${status}: ${code ?? ""}: ${message ?? ""}`],
  "call.finished": ({ outcome, runMs }) => [
    "debug",
    `call ${outcome}${runMs === null ? "" : ` after ${(runMs / 1000).toFixed(1)} s on the GPU`}`,
  ],
  "call.progress": ({ stage, fraction }) => ["trace", `${stage ?? "call"} at ${fraction ?? 0}`],
  "call.log": ({ line }) => ["debug", line],
  "cleanup.failed": ({ action, message }) => [
    "warn",
    `${action} did not work: ${message}; the reaper will try`,
  ],
};

/** Writes one line per event, with the cause where there is one. */
export function logSubscriber(logger: Logger): JobEventSubscriber {
  return (name, event) => {
    const [level, words] = LINES[name](event);
    const { cause, ...fields } = { cause: null, ...event };
    logger[level]({ event: name, ...fields, ...(cause === null ? {} : { err: cause }) }, words);
  };
}
