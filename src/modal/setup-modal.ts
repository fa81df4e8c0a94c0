import type { MirumojiError } from "../job/errors.ts";
import type { AppShare, SharedApp } from "../queue/app-share.ts";
import { disconnectApp, isAlive } from "./apps/app.ts";
import { keepAppAlive } from "./apps/keep-alive.ts";
import {
  type AppPresence,
  findOrRegister,
  knownApp,
  type RegisteredApp,
  registerApp,
} from "./apps/register-app.ts";
import { fingerprintOf, type RegistrationOptions } from "./apps/registration.ts";
import type { ModalSession } from "./rpc/session.ts";

export interface SetupOptions extends RegistrationOptions {
  /**
   * Record that the pool's workers share, so that they use one app.
   *
   * @defaultValue a separate app for this process
   */
  readonly share?: AppShare;
  readonly signal?: AbortSignal;
  /** Called for each failed heartbeat; after `APP_LOST` the runtime cannot be used any more. */
  readonly onHeartbeatError?: (error: MirumojiError, appId: string) => void;
}

/** A running ephemeral app with both functions. */
export interface ModalRuntime extends RegisteredApp {
  /** Stops our heartbeat; the last worker that leaves ends the app, unless a call still needs it. */
  close(): Promise<void>;
}

/**
 * Opens an ephemeral app with the two functions and keeps it alive: the same requests that the Python SDK sends for
 * `modal.App(..., image=Image.from_registry(...))` and `app.run()`. The pool shares one app, which its first worker
 * registers. If registration fails, the app is ended again; if the process dies, the next worker continues it.
 *
 * @throws MirumojiError `IMAGE_BUILD_FAILED`, `CONFIG_INVALID`, `MODAL_*`
 */
export async function setupModal(session: ModalSession, options: SetupOptions): Promise<ModalRuntime> {
  const { share = unshared(), signal } = options;
  const fingerprint = await fingerprintOf(options, { environment: session.environment });
  const enter = async (appId: string) => await enterApp(session, share, appId, options);
  const { presence, ...app } = await findOrRegister<RegisteredApp & { readonly presence: AppPresence }>({
    share,
    signal,
    find: async () => {
      const known = await knownApp(share, fingerprint);
      if (known === null || !(await isAlive(session, known.appId, signal))) return null;
      return { ...known, presence: await enter(known.appId) };
    },
    register: async () =>
      await registerApp(session, { ...options, share, fingerprint, isDeployed: false, enter }),
  });
  return {
    ...app,
    close: async () => {
      if (await presence.leave()) await disconnectApp(session, { appId: app.appId });
    },
  };
}

/** Joins the app's users, and keeps it alive until this worker leaves. */
async function enterApp(
  session: ModalSession,
  share: AppShare,
  appId: string,
  options: SetupOptions,
): Promise<AppPresence> {
  await share.join(appId);
  const heartbeat = keepAppAlive(session, {
    appId,
    onError: (error) => options.onHeartbeatError?.(error, appId),
    // Presence is renewed with the heartbeat; a late write to Redis does no harm.
    onBeat: () => void share.join(appId).catch(() => {}),
  });
  return {
    leave: async () => {
      heartbeat.stop();
      return await share.leave(appId);
    },
  };
}

/** In-memory share for a process on its own. */
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
