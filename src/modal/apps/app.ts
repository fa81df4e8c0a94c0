import { type MirumojiError, toMirumojiError } from "../../job/errors.ts";
import { unary } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";
import { APP_DISCONNECT_REASON, APP_STATE } from "../rpc/wire.ts";

/** Modal's own interval (`modal-wire` 2.1); an ephemeral app that misses too many is stopped. */
const HEARTBEAT_MS = 15_000;

/** A stopped or unknown app; functions and calls in it are gone too. */
const APP_GONE = { NOT_FOUND: "APP_LOST", FAILED_PRECONDITION: "APP_LOST" } as const;

/** `initializing` becomes a deployed app when it is published. */
export type NewAppState = "ephemeral" | "initializing";

/**
 * Creates an app. An ephemeral one lives as long as somebody heartbeats it, whichever process that is; an
 * initializing one needs that until it is published.
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

/** One function of an app as `AppPublish` wants to know it. */
export interface PublishedFunction {
  readonly tag: string;
  readonly functionId: string;
  readonly definitionId: string;
}

/** Makes the registered functions callable; with a deployment name, for good. Repeating it is harmless. */
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
    /** The name to be found by; without it the app stays ephemeral. */
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
 * Says once that the app is still wanted.
 *
 * @throws MirumojiError `APP_LOST` when it is stopped or unknown: register a new one
 */
export async function heartbeatApp(
  session: ModalSession,
  { appId, signal }: { readonly appId: string; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  await unary(session, "appHeartbeat", { appId }, { signal, timeoutMs: HEARTBEAT_MS, codes: APP_GONE });
}

/**
 * Heartbeats an app at once and every 15 seconds, by a timer that no job can hold up. A failed one is
 * reported and the next one goes out all the same; after `APP_LOST` there is no next one.
 */
export function keepAppAlive(
  session: ModalSession,
  {
    appId,
    onError,
    onBeat,
  }: {
    readonly appId: string;
    readonly onError?: ((error: MirumojiError) => void) | undefined;
    /** Called after each heartbeat that the server took. */
    readonly onBeat?: () => void;
  },
): { stop(): void } {
  const stopped = new AbortController();
  const beat = async (): Promise<void> => {
    try {
      await heartbeatApp(session, { appId, signal: stopped.signal });
      onBeat?.();
    } catch (thrown) {
      if (stopped.signal.aborted) return;
      const error = toMirumojiError(thrown);
      if (error.code === "APP_LOST") stop();
      onError?.(error);
    }
  };
  const timer = setInterval(() => void beat(), HEARTBEAT_MS);
  timer.unref();
  const stop = (): void => {
    clearInterval(timer);
    stopped.abort();
  };
  void beat();
  return { stop };
}

/**
 * Ends an ephemeral app and every call in it, or one that was never published; a deployed app is not
 * touched by it. That it is gone already is success.
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
