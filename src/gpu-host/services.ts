import type { Signer } from "./signer.ts";
import type { Faults } from "./faults.ts";
import type { Log } from "./log.ts";
import type { Calls } from "./run/calls.ts";
import type { Engines } from "./run/engines.ts";
import type { Logs } from "./run/logs.ts";
import type { Runner } from "./run/runner.ts";
import type { Apps } from "./store/apps.ts";
import type { Blobs } from "./store/blobs.ts";
import type { Contents } from "./store/contents.ts";
import type { State } from "./store/state.ts";
import type { Uploads } from "./store/uploads.ts";
import type { Volumes } from "./store/volumes.ts";
import type { CallContext } from "nice-grpc";

/** The parts of a running host, as the RPCs and HTTP routes see them. */
export interface Services {
  readonly state: State;
  readonly apps: Apps;
  readonly volumes: Volumes;
  readonly uploads: Uploads;
  readonly contents: Contents;
  readonly blobs: Blobs;
  readonly calls: Calls;
  readonly runner: Runner;
  readonly logs: Logs;
  readonly engines: Engines;
  readonly signer: Signer;
  readonly faults: Faults;
  readonly log: Log;
  readonly now: () => number;
  /** The keys that each named secret holds. */
  readonly secrets: Readonly<Record<string, readonly string[]>>;
  /** Where this caller reaches the HTTP side, such as `http://127.0.0.1:4000`: each of its ports in turn. */
  readonly httpUrl: (context: CallContext) => string;
}
