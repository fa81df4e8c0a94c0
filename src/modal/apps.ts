import type { Apps } from "../steps/ports.ts";
import { heartbeatApp } from "./app.ts";
import type { ModalSession } from "./session.ts";

/** Apps by ID over Modal's control plane. */
export function modalApps(session: ModalSession): Apps {
  return {
    heartbeat: async ({ appId, signal }) => {
      await heartbeatApp(session, { appId, signal });
    },
  };
}
