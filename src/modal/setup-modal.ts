import type { MirumojiError } from "../job/errors.ts";
import type { AppShare, SharedApp } from "../queue/app-share.ts";
import { createApp, disconnectApp, keepAppAlive, publishApp } from "./apps/app.ts";
import { isAlive, unfinishedApp } from "./apps/known-app.ts";
import {
  DEFAULT_APP_NAME,
  fingerprintOf,
  registerFunctions,
  type RegisteredFunctions,
  type RegistrationOptions,
} from "./apps/registration.ts";
import type { ModalSession } from "./rpc/session.ts";

export interface SetupOptions extends RegistrationOptions {
  /**
   * What the pool's workers know together, so that they use one app.
   *
   * @defaultValue an app of this process's own
   */
  readonly share?: AppShare;
  readonly signal?: AbortSignal;
  /** Heartbeats that failed; after `APP_LOST` the runtime is of no use any more. */
  readonly onHeartbeatError?: (error: MirumojiError, appId: string) => void;
}

/** A running ephemeral app with both functions. */
export interface ModalRuntime extends RegisteredFunctions {
  readonly appId: string;
  /** Stops our heartbeat; the last worker that leaves ends the app, unless a call still needs it. */
  close(): Promise<void>;
}

/** An app with functions, and the timer that keeps it alive from here. */
interface LiveApp {
  readonly app: SharedApp & { readonly functions: NonNullable<SharedApp["functions"]> };
  readonly heartbeat: { stop(): void };
}

/**
 * Gives an ephemeral app with the two functions and keeps it alive: what the Python SDK does for
 * `modal.App(..., image=Image.from_registry(...))` and `app.run()`, request by request. The pool shares
 * one app: it is registered by whoever comes first, and by nobody twice. When something fails in the
 * middle, the app is ended again; when the process dies in the middle, the next one goes on with it.
 *
 * @throws MirumojiError `IMAGE_BUILD_FAILED`, `CONFIG_INVALID`, `MODAL_*`
 */
export async function setupModal(session: ModalSession, options: SetupOptions): Promise<ModalRuntime> {
  const { share = unshared() } = options;
  const fingerprint = await fingerprintOf(options, { environment: session.environment });
  const join = async () => await joinApp(session, share, fingerprint, options);
  const { app, heartbeat } =
    (await join()) ??
    (await share.exclusively(
      async () => (await join()) ?? (await registerApp(session, share, fingerprint, options)),
      options.signal,
    ));
  return {
    appId: app.appId,
    ...app.functions,
    close: async () => {
      heartbeat.stop();
      if (await share.leave(app.appId)) await disconnectApp(session, { appId: app.appId });
    },
  };
}

/** Uses the app that another worker registered, if it is the right one and alive. */
async function joinApp(
  session: ModalSession,
  share: AppShare,
  fingerprint: string,
  options: SetupOptions,
): Promise<LiveApp | null> {
  const known = await share.read();
  if (known === null || known.functions === null || known.fingerprint !== fingerprint) return null;
  if (!(await isAlive(session, known.appId, options.signal))) return null;
  await share.join(known.appId);
  return {
    app: { ...known, functions: known.functions },
    heartbeat: beat(session, share, known.appId, options),
  };
}

async function registerApp(
  session: ModalSession,
  share: AppShare,
  fingerprint: string,
  options: SetupOptions,
): Promise<LiveApp> {
  const { appName = DEFAULT_APP_NAME, signal } = options;
  const appId =
    (await unfinishedApp(session, share, fingerprint, signal)) ??
    // Not with the signal: an app whose ID nobody hears could not be ended, only expire.
    (await createApp(session, { appName, state: "ephemeral" })).appId;
  // Written down before anything is registered in it, so that a crash here leaves no second app.
  await share.write({ appId, fingerprint, functions: null });
  await share.join(appId);
  const heartbeat = beat(session, share, appId, options);
  try {
    const functions = await registerFunctions(session, { ...options, appId });
    await publishApp(session, { appId, functions: [functions.transcribe, functions.convert], signal });
    const app = { appId, fingerprint, functions };
    await share.write(app);
    return { app, heartbeat };
  } catch (failure) {
    heartbeat.stop();
    await share.leave(appId);
    // Not with the caller's signal: it may be the reason that we are here.
    await disconnectApp(session, { appId, failure }).catch(() => {});
    throw failure;
  }
}

function beat(
  session: ModalSession,
  share: AppShare,
  appId: string,
  options: SetupOptions,
): { stop(): void } {
  return keepAppAlive(session, {
    appId,
    onError: (error) => options.onHeartbeatError?.(error, appId),
    // Presence rides on the heartbeat; that a note in Redis is late does no harm.
    onBeat: () => void share.join(appId).catch(() => {}),
  });
}

/** A share that nobody else sees. */
function unshared(): AppShare {
  let known: SharedApp | null = null;
  return {
    read: async () => await Promise.resolve(known),
    write: async (app) => {
      known = await Promise.resolve(app);
    },
    exclusively: async (action) => await action(),
    join: async () => await Promise.resolve(),
    leave: async () => await Promise.resolve(true),
  };
}
