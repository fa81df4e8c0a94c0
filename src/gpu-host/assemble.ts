import type { CallContext } from "nice-grpc";
import { Faults } from "./faults.ts";
import type { Log } from "./log.ts";
import { Calls } from "./run/calls.ts";
import { Engines, type InspectEngines } from "./run/engines.ts";
import { Logs } from "./run/logs.ts";
import { Runner } from "./run/runner.ts";
import type { WarmLimits } from "./run/warm.ts";
import type { Services } from "./services.ts";
import { Signer } from "./signer.ts";
import { Apps } from "./store/apps.ts";
import { Blobs } from "./store/blobs.ts";
import { Contents } from "./store/contents.ts";
import type { State } from "./store/state.ts";
import { Uploads } from "./store/uploads.ts";
import { Volumes } from "./store/volumes.ts";

/** Wires the parts of a host around its state. Nothing runs yet. */
export function assembleServices(options: {
  state: State;
  volumeTtlMs: number;
  appTtlMs: number;
  maxConcurrentCalls: number;
  warm: WarmLimits;
  python: string;
  inspectEngines: InspectEngines;
  secrets: Services["secrets"];
  now: () => number;
  log: Log;
  httpUrl: (context: CallContext) => string;
}): Services {
  const { state, now, log, python, maxConcurrentCalls, warm, httpUrl } = options;
  const calls = new Calls(state, now);
  const logs = new Logs(now);
  const blobs = new Blobs(state.paths.blobs);
  const faults = new Faults();
  const runner = new Runner({ state, calls, blobs, logs, python, maxConcurrentCalls, warm, faults, log });
  return {
    state,
    apps: new Apps({
      state,
      ttlMs: options.appTtlMs,
      now,
      onStop: (app) => {
        for (const { id } of calls.unfinishedOf(app.id)) runner.cancel(id, { atOnce: false });
        logs.wake(app.id);
      },
    }),
    volumes: new Volumes({ state, ttlMs: options.volumeTtlMs, now, log }),
    uploads: new Uploads(state.paths.volumes),
    contents: new Contents(state.paths.contents),
    blobs,
    calls,
    runner,
    logs,
    engines: new Engines({ inspect: options.inspectEngines, now, log }),
    signer: new Signer(state.key, now),
    faults,
    log,
    now,
    secrets: options.secrets,
    httpUrl,
  };
}
