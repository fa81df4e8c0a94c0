import { MirumojiError } from "../../job/errors.ts";
import type { Apps } from "../../ports/apps.ts";
import { heartbeatApp } from "./app.ts";
import { unary } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";
import { APP_STATE } from "../rpc/wire.ts";

/**
 * Apps by ID over Modal's control plane. A deployed app lives without heartbeats: it is only asked whether
 * it still does.
 */
export function modalApps(
  session: ModalSession,
  { isDeployed = () => false }: { readonly isDeployed?: (appId: string) => boolean } = {},
): Apps {
  return {
    heartbeat: async ({ appId, signal }) => {
      if (isDeployed(appId)) await expectRunning(session, appId, signal);
      else await heartbeatApp(session, { appId, signal });
    },
  };
}

async function expectRunning(
  session: ModalSession,
  appId: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { lifecycle } = await unary(
    session,
    "appGetLifecycle",
    { appId },
    { signal, codes: { NOT_FOUND: "APP_LOST" } },
  );
  const state: number | undefined = lifecycle?.appState;
  if (state === APP_STATE.stopping || state === APP_STATE.stopped) {
    throw new MirumojiError("APP_LOST", `the deployed app ${appId} was stopped`);
  }
}
