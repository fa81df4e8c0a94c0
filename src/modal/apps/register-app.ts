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

/** This worker's hold on an app, which keeps it alive. */
export interface AppPresence {
  /** True when nobody else uses the app and no call needs it. */
  leave(): Promise<boolean>;
}

export interface AppRegistration extends RegistrationOptions {
  readonly share: AppShare;
  /** Everything that the app is registered from. */
  readonly fingerprint: string;
  /** True for a deployed app with a name; false for an ephemeral one. */
  readonly isDeployed: boolean;
  /** Starts to keep the app alive. Every app needs that until it is published; an ephemeral one always. */
  readonly enter: (appId: string) => Promise<AppPresence>;
  readonly signal?: AbortSignal;
}

/** Uses the pool's app if there is one; otherwise registers it, one worker at a time. */
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

/** Finds the app that the pool has registered with the same fingerprint. */
export async function knownApp(share: AppShare, fingerprint: string): Promise<RegisteredApp | null> {
  const known = await share.read();
  if (known === null || known.functions === null || known.fingerprint !== fingerprint) return null;
  return { appId: known.appId, ...known.functions };
}

/**
 * Registers both functions in an app and publishes it: the deployed app, the app of a worker that died during
 * registration, or a new one. On failure the app is ended, unless it is a deployed one.
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
    // Without the signal: an app whose ID is never received cannot be ended and only expires.
    (await createApp(session, { appName, state: isDeployed ? "initializing" : "ephemeral" })).appId;
  const record = async (functions: SharedApp["functions"]) =>
    await share.write({ appId, fingerprint, functions });
  // Stored before anything is registered in it, so that a crash here leaves no second app.
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
      functions: [
        functions.transcribe,
        functions.convert,
        ...(functions.remux === undefined ? [] : [functions.remux]),
      ],
      ...(isDeployed ? { deployAs: appName } : {}),
      signal,
    });
    await record(functions);
    return { appId, ...functions, presence };
  } catch (failure) {
    await presence.leave();
    // Without the caller's signal: it may be what failed the registration.
    await disconnectApp(session, { appId, failure }).catch(() => {});
    throw failure;
  }
}

/** Finds the app of a worker that died during registration, if it can be continued. */
async function unfinishedApp(
  session: ModalSession,
  { share, fingerprint, signal }: Pick<AppRegistration, "share" | "fingerprint" | "signal">,
): Promise<string | null> {
  const known = await share.read();
  if (known === null || known.functions !== null || known.fingerprint !== fingerprint) return null;
  return (await isAlive(session, known.appId, signal)) ? known.appId : null;
}
