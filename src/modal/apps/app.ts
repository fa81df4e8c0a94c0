import { MirumojiError, toMirumojiError } from "../../job/errors.ts";
import type { Apps } from "../../ports/apps.ts";
import { unary } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";
import { APP_DISCONNECT_REASON, APP_STATE } from "../rpc/wire.ts";

/** Modal's own interval (`modal-wire` 2.1); an ephemeral app that misses too many is stopped. */
export const HEARTBEAT_MS = 15_000;

/** Statuses of a stopped or unknown app; its functions and calls are gone too. */
const APP_GONE = { NOT_FOUND: "APP_LOST", FAILED_PRECONDITION: "APP_LOST" } as const;

/** `initializing` becomes a deployed app when it is published. */
export type NewAppState = "ephemeral" | "initializing";

/**
 * Creates an app. An ephemeral app lives as long as any process heartbeats it; an initializing one needs heartbeats
 * until it is published.
 *
 * @throws MirumojiError `MODAL_*`
 */
export async function createApp(
  session: ModalSession,
  {
    appName,
    state,
    signal,
  }: {
    readonly appName: string;
    readonly state: NewAppState;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<{ appId: string }> {
  const { appId } = await unary(
    session,
    "appCreate",
    { description: appName, appState: APP_STATE[state], environmentName: session.environment },
    { signal },
  );
  return { appId };
}

/** One function of an app, as `AppPublish` takes it. */
export interface PublishedFunction {
  readonly tag: string;
  readonly functionId: string;
  readonly definitionId: string;
}

/** Makes the registered functions callable; permanently with a deployment name. Safe to repeat. */
export async function publishApp(
  session: ModalSession,
  {
    appId,
    functions,
    deployAs,
    signal,
  }: {
    readonly appId: string;
    readonly functions: readonly PublishedFunction[];
    /** Deployment name; without it the app stays ephemeral. */
    readonly deployAs?: string;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<void> {
  await unary(
    session,
    "appPublish",
    {
      appId,
      ...(deployAs === undefined
        ? { appState: APP_STATE.ephemeral }
        : { appState: APP_STATE.deployed, name: deployAs }),
      functionIds: Object.fromEntries(functions.map(({ tag, functionId }) => [tag, functionId])),
      definitionIds: Object.fromEntries(
        functions.map(({ functionId, definitionId }) => [functionId, definitionId]),
      ),
    },
    { signal, codes: APP_GONE },
  );
}

/**
 * Sends one heartbeat for the app.
 *
 * @throws MirumojiError `APP_LOST` when it is stopped or unknown: register a new one
 */
export async function heartbeatApp(
  session: ModalSession,
  { appId, signal }: { readonly appId: string; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  await unary(session, "appHeartbeat", { appId }, { signal, timeoutMs: HEARTBEAT_MS, codes: APP_GONE });
}

/** Tells whether the app is alive by sending it a heartbeat. */
export async function isAlive(
  session: ModalSession,
  appId: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    await heartbeatApp(session, { appId, signal });
    return true;
  } catch (error) {
    if (toMirumojiError(error).code === "APP_LOST") return false;
    throw error;
  }
}

/**
 * Ends an ephemeral or unpublished app and every call in it. A deployed app is left alone, and an app that is
 * gone already counts as success.
 */
export async function disconnectApp(
  session: ModalSession,
  {
    appId,
    failure,
    signal,
  }: { readonly appId: string; readonly failure?: unknown; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  try {
    await unary(
      session,
      "appClientDisconnect",
      failure === undefined
        ? { appId, reason: APP_DISCONNECT_REASON.completed }
        : {
            appId,
            reason: APP_DISCONNECT_REASON.registrationFailed,
            // The server cuts the text there too (`modal-wire` trap 15).
            exception: toMirumojiError(failure).message.slice(0, 1000),
          },
      { signal, codes: APP_GONE },
    );
  } catch (thrown) {
    if (toMirumojiError(thrown).code !== "APP_LOST") throw thrown;
  }
}

/** A deployed app and its functions. */
export interface DeployedApp {
  readonly appId: string;
  /** By tag. */
  readonly functionIds: Readonly<Record<string, string>>;
}

/**
 * Finds a deployed app by its name.
 *
 * @throws MirumojiError `MODAL_*`
 */
export async function findDeployedApp(
  session: ModalSession,
  { appName, signal }: { readonly appName: string; readonly signal?: AbortSignal | undefined },
): Promise<DeployedApp | null> {
  try {
    const { appId } = await unary(
      session,
      "appGetByDeploymentName",
      { name: appName, environmentName: session.environment },
      { signal, codes: { NOT_FOUND: "APP_LOST" } },
    );
    if (appId === "") return null;
    const { appLayout } = await unary(
      session,
      "appGetLayout",
      { appId },
      // It may be stopped between the two requests.
      { signal, codes: APP_GONE },
    );
    return { appId, functionIds: appLayout?.functionIds ?? {} };
  } catch (thrown) {
    if (thrown instanceof MirumojiError && thrown.code === "APP_LOST") return null;
    throw thrown;
  }
}

/**
 * Apps by ID over Modal's control plane. A deployed app needs no heartbeats; it is only checked for being alive.
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
