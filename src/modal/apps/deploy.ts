import type { AppShare, SharedApp } from "../../queue/app-share.ts";
import { createApp, disconnectApp, keepAppAlive, publishApp } from "./app.ts";
import { findDeployedApp } from "./deployed-app.ts";
import { unfinishedApp } from "./known-app.ts";
import {
  DEFAULT_APP_NAME,
  fingerprintOf,
  registerFunctions,
  type RegisteredFunctions,
  type RegistrationOptions,
} from "./registration.ts";
import type { ModalSession } from "../rpc/session.ts";

export interface DeployOptions extends RegistrationOptions {
  /** What the pool knows of its app: by this, one worker deploys and the others find it done. */
  readonly share: AppShare;
  /** Deploys although nothing changed. */
  readonly force?: boolean;
  readonly signal?: AbortSignal;
}

/** A deployed app with both functions. */
export interface Deployment extends RegisteredFunctions {
  readonly appId: string;
  readonly appName: string;
  readonly fingerprint: string;
  /** False when it was up to date already. */
  readonly isNew: boolean;
}

/**
 * Sees to it that the app is deployed as the options say, doing nothing when it is. A deployed app needs no
 * heartbeat and is never disconnected: calls in it survive when every worker is down. Deploying again keeps
 * the app's and the functions' IDs, so calls that are running go on.
 *
 * @throws MirumojiError `IMAGE_BUILD_FAILED`, `CONFIG_INVALID`, `MODAL_*`
 */
export async function deployModal(session: ModalSession, options: DeployOptions): Promise<Deployment> {
  const { share, force = false, signal, appName = DEFAULT_APP_NAME } = options;
  const fingerprint = await fingerprintOf(options, { environment: session.environment, deployed: true });
  const current = async () => (force ? null : await upToDate(session, share, fingerprint, options));
  const known = await current();
  if (known !== null) return { ...known, appName, fingerprint, isNew: false };
  return await share.exclusively(async () => {
    const others = await current();
    if (others !== null) return { ...others, appName, fingerprint, isNew: false };
    return { ...(await deploy(session, fingerprint, options)), appName, fingerprint, isNew: true };
  }, signal);
}

type Deployed = RegisteredFunctions & { readonly appId: string };

/** What the pool deployed, if it was deployed from the same things and the server still has all of it. */
async function upToDate(
  session: ModalSession,
  share: AppShare,
  fingerprint: string,
  { appName = DEFAULT_APP_NAME, signal }: DeployOptions,
): Promise<Deployed | null> {
  const known = await share.read();
  if (known === null || known.functions === null || known.fingerprint !== fingerprint) return null;
  const found = await findDeployedApp(session, { appName, signal });
  if (found?.appId !== known.appId) return null;
  const { transcribe, convert } = known.functions;
  for (const { tag, functionId } of [transcribe, convert]) {
    if (found.functionIds[tag] !== functionId) return null;
  }
  return { appId: known.appId, transcribe, convert };
}

async function deploy(session: ModalSession, fingerprint: string, options: DeployOptions): Promise<Deployed> {
  const { share, signal, appName = DEFAULT_APP_NAME } = options;
  const found = await findDeployedApp(session, { appName, signal });
  const appId =
    found?.appId ??
    (await unfinishedApp(session, share, fingerprint, signal)) ??
    (await createApp(session, { appName, state: "initializing", signal })).appId;
  const record = async (functions: SharedApp["functions"]) =>
    await share.write({ appId, fingerprint, functions });
  // Written down before anything is registered in it, so that a crash here leaves no second app.
  await record(null);
  // Until it is published, an app lives by heartbeats.
  const heartbeat = keepAppAlive(session, { appId });
  try {
    const functions = await registerFunctions(session, {
      ...options,
      appId,
      existing: found?.functionIds ?? {},
    });
    const { transcribe, convert } = functions;
    await publishApp(session, { appId, functions: [transcribe, convert], deployAs: appName, signal });
    await record({ transcribe, convert });
    return { appId, transcribe, convert };
  } catch (failure) {
    // Not with the caller's signal: it may be the reason that we are here.
    await disconnectApp(session, { appId, failure }).catch(() => {});
    throw failure;
  } finally {
    heartbeat.stop();
  }
}
