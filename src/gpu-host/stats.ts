import { AppState } from "./enums.ts";
import type { Services } from "./services.ts";
import type { CallRecord } from "./store/records.ts";

/** What the host did, counted from its records (kept for a week). */
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
    /** Calls whose input arrived. */
    started: number;
    /** Calls that wait for a place or run. */
    running: number;
    succeeded: number;
    failed: number;
    cancelled: number;
    list: CallStats[];
  };
  readonly apps: { live: number; created: number };
}

export interface CallStats {
  id: string;
  function: string;
  volumeId: string;
  path: string;
  status: CallRecord["state"];
}

export function currentStats({ state, ...lives }: Pick<Services, "state" | "volumes" | "apps">): Stats {
  lives.volumes.sweep();
  lives.apps.sweep();
  const volumes = [...state.volumes.all()];
  const calls = [...state.calls.all()].toSorted((a, b) => a.createdAt - b.createdAt);
  const apps = [...state.apps.all()];
  const inState = <T extends { state: unknown }>(records: T[], ...wanted: T["state"][]) =>
    records.filter((record) => wanted.includes(record.state)).length;
  return {
    volumes: {
      live: inState(volumes, "live"),
      created: volumes.length,
      deleted: inState(volumes, "deleted"),
      expired: inState(volumes, "expired"),
      list: volumes.flatMap(({ id, createdAt, state: life }) => (life === "live" ? [{ id, createdAt }] : [])),
    },
    calls: {
      started: calls.filter((call) => call.input !== undefined).length,
      running: inState(calls, "queued", "running"),
      succeeded: inState(calls, "succeeded"),
      failed: inState(calls, "failed"),
      cancelled: inState(calls, "cancelled"),
      list: calls.map(({ id, tag, volumeId = "", path = "", state: status }) => {
        return { id, function: tag, volumeId, path, status };
      }),
    },
    apps: { live: apps.filter((app) => app.state !== AppState.STOPPED).length, created: apps.length },
  };
}
