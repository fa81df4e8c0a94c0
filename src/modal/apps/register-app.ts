import type { AppShare, SharedApp } from "../../queue/app-share.ts";
import type { ModalSession } from "../rpc/session.ts";
import { createApp, disconnectApp, findDeployedApp, isAlive, publishApp } from "./app.ts";
import {
  DEFAULT_APP_NAME,
  registerFunctions,
  type RegisteredFunctions,
  type RegistrationOptions,
} from "./registration.ts";

/** An app of the pool with both functions. */
export interface RegisteredApp extends RegisteredFunctions {
  readonly appId: string;
}

/** This worker's use of an app, which keeps it alive. */
export interface AppPresence {
  /** True when nobody else uses the app and no call needs it. */
  leave(): Promise<boolean>;
}

export interface AppRegistration extends RegistrationOptions {
  readonly share: AppShare;
  /** Everything that the app is registered from. */
  readonly fingerprint: string;
  /** Deployed under its name, for good; otherwise it is ephemeral. */
  readonly isDeployed: boolean;
  /** Begins to keep the app alive, which it needs until it is published and an ephemeral one for ever. */
  readonly enter: (appId: string) => Promise<AppPresence>;
  readonly signal?: AbortSignal;
}

/** Uses what is there; otherwise registers, one worker of the pool at a time. */
export async function findOrRegister<T>(options: {
  readonly share: AppShare;
  readonly find: () => Promise<T | null>;
  readonly register: () => Promise<T>;
  readonly signal: AbortSignal | undefined;
}): Promise<T> {
  const { share, find, register, signal } = options;
  return (
    (await find()) ?? (await share.exclusively(async () => (await find()) ?? (await register()), signal))
  );
}

/** The app that the pool registered from the same things, if somebody has finished that. */
export async function knownApp(share: AppShare, fingerprint: string): Promise<RegisteredApp | null> {
  const known = await share.read();
  if (known === null || known.functions === null || known.fingerprint !== fingerprint) return null;
  return { appId: known.appId, ...known.functions };
}

/**
 * Registers both functions in an app and publishes it: in the deployed one, in the one of a worker that died over
 * this, or in a new one. When something fails, the app is ended; a deployed one is not touched by that.
 *
 * @throws MirumojiError `IMAGE_BUILD_FAILED`, `CONFIG_INVALID`, `MODAL_*`
 */
export async function registerApp(
  session: ModalSession,
  options: AppRegistration,
): Promise<RegisteredApp & { readonly presence: AppPresence }> {
  const { share, fingerprint, isDeployed, appName = DEFAULT_APP_NAME, signal } = options;
  const deployed = isDeployed ? await findDeployedApp(session, { appName, signal }) : null;
  const appId =
    deployed?.appId ??
    (await unfinishedApp(session, options)) ??
    // Not with the signal: an app whose ID nobody hears could not be ended, only expire.
    (await createApp(session, { appName, state: isDeployed ? "initializing" : "ephemeral" })).appId;
  const record = async (functions: SharedApp["functions"]) =>
    await share.write({ appId, fingerprint, functions });
  // Written down before anything is registered in it, so that a crash here leaves no second app.
  await record(null);
  const presence = await options.enter(appId);
  try {
    const functions = await registerFunctions(session, {
      ...options,
      appId,
      existing: deployed?.functionIds ?? {},
    });
    await publishApp(session, {
      appId,
      functions: [functions.transcribe, functions.convert],
      ...(isDeployed ? { deployAs: appName } : {}),
      signal,
    });
    await record(functions);
    return { appId, ...functions, presence };
  } catch (failure) {
    await presence.leave();
    // Not with the caller's signal: it may be the reason that we are here.
    await disconnectApp(session, { appId, failure }).catch(() => {});
    throw failure;
  }
}

/** The app of a worker that died while it registered, if it can still be gone on with. */
async function unfinishedApp(
  session: ModalSession,
  { share, fingerprint, signal }: Pick<AppRegistration, "share" | "fingerprint" | "signal">,
): Promise<string | null> {
  const known = await share.read();
  if (known === null || known.functions !== null || known.fingerprint !== fingerprint) return null;
  return (await isAlive(session, known.appId, signal)) ? known.appId : null;
}
