import { AppState } from "./enums.ts";
import { isUnfinished } from "./run/calls.ts";
import type { Services } from "./services.ts";
import type { CallRecord, InputRecord, InputState } from "./store/records.ts";

/** Counts of the host's work, from its records (kept for a week). */
export interface Stats {
  readonly volumes: {
    live: number;
    created: number;
    deleted: number;
    expired: number;
    /** The live ones. */
    list: { id: string; createdAt: number }[];
  };
  readonly calls: {
    /** Calls that have an input. */
    started: number;
    /** Calls with an input that waits for a place or runs. */
    running: number;
    succeeded: number;
    failed: number;
    cancelled: number;
    list: CallStats[];
  };
  readonly apps: { live: number; created: number };
  /** Processes that wait for another call with a model in memory, and how much they have of it. */
  readonly warm: { pid?: number | undefined; bytes: number }[];
}

export interface CallStats {
  id: string;
  function: string;
  /** Volume and path of the first input. */
  volumeId: string;
  path: string;
  /** `open` before the first input; of several inputs the worst: unfinished, failed, cancelled, succeeded. */
  status: InputState | "open";
  /** One for a unary call, and as many as were put for a map. */
  inputs: number;
}

export function currentStats({
  state,
  calls,
  runner,
  ...lives
}: Pick<Services, "state" | "calls" | "runner" | "volumes" | "apps">): Stats {
  lives.volumes.sweep();
  lives.apps.sweep();
  const volumes = [...state.volumes.all()];
  const list = [...state.calls.all()]
    .toSorted((a, b) => a.createdAt - b.createdAt)
    .map((call) => callStats(call, calls.inputsOf(call.id)));
  const apps = [...state.apps.all()];
  const inLife = (life: (typeof volumes)[number]["state"]) =>
    volumes.filter((volume) => volume.state === life).length;
  const withStatus = (...wanted: CallStats["status"][]) =>
    list.filter(({ status }) => wanted.includes(status)).length;
  return {
    volumes: {
      live: inLife("live"),
      created: volumes.length,
      deleted: inLife("deleted"),
      expired: inLife("expired"),
      list: volumes.flatMap(({ id, createdAt, state: life }) => (life === "live" ? [{ id, createdAt }] : [])),
    },
    calls: {
      started: list.filter(({ inputs }) => inputs > 0).length,
      running: withStatus("queued", "running"),
      succeeded: withStatus("succeeded"),
      failed: withStatus("failed"),
      cancelled: withStatus("cancelled"),
      list,
    },
    apps: { live: apps.filter((app) => app.state !== AppState.STOPPED).length, created: apps.length },
    warm: runner.warm(),
  };
}

function callStats(call: CallRecord, inputs: readonly InputRecord[]): CallStats {
  const { volumeId = "", path = "" } = inputs[0] ?? {};
  return {
    id: call.id,
    function: call.tag,
    volumeId,
    path,
    status: callStatus(call, inputs),
    inputs: inputs.length,
  };
}

function callStatus(call: CallRecord, inputs: readonly InputRecord[]): CallStats["status"] {
  const has = (state: InputState) => inputs.some((input) => input.state === state);
  if (inputs.some(isUnfinished)) return has("running") ? "running" : "queued";
  if (has("failed")) return "failed";
  if (has("cancelled") || call.cancelledAt !== undefined) return "cancelled";
  return has("succeeded") ? "succeeded" : "open";
}
