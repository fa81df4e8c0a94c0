import type { AppShare } from "../../queue/app-share.ts";
import type { ModalSession } from "../rpc/session.ts";
import { findDeployedApp } from "./app.ts";
import { keepAppAlive } from "./keep-alive.ts";
import { findOrRegister, knownApp, type RegisteredApp, registerApp } from "./register-app.ts";
import { DEFAULT_APP_NAME, fingerprintOf, type RegistrationOptions } from "./registration.ts";

export interface DeployOptions extends RegistrationOptions {
  /** Pool-wide record of the app: one worker deploys, the others reuse it. */
  readonly share: AppShare;
  /** Deploys even if nothing changed. */
  readonly force?: boolean;
  readonly signal?: AbortSignal;
}

/** A deployed app with both functions. */
export interface Deployment extends RegisteredApp {
  readonly appName: string;
  readonly fingerprint: string;
  /** False when it was up to date already. */
  readonly isNew: boolean;
}

/**
 * Deploys the app with the given options; does nothing when it is up to date. A deployed app needs no heartbeat and is
 * never disconnected: calls in it survive when every worker is down. Deploying again keeps the app's and the
 * functions' IDs, so calls that are running go on.
 *
 * @throws MirumojiError `IMAGE_BUILD_FAILED`, `CONFIG_INVALID`, `MODAL_*`
 */
export async function deployModal(session: ModalSession, options: DeployOptions): Promise<Deployment> {
  const { share, force = false, signal, appName = DEFAULT_APP_NAME } = options;
  const fingerprint = await fingerprintOf(options, { environment: session.environment, deployed: true });
  return await findOrRegister<Deployment>({
    share,
    signal,
    find: async () => {
      const found = force ? null : await upToDate(session, fingerprint, options);
      return found === null ? null : { ...found, appName, fingerprint, isNew: false };
    },
    register: async () => {
      const { presence, ...app } = await registerApp(session, {
        ...options,
        fingerprint,
        isDeployed: true,
        // An app needs heartbeats until it is published.
        enter: async (appId) => await Promise.resolve(beating(session, appId)),
      });
      await presence.leave();
      return { ...app, appName, fingerprint, isNew: true };
    },
  });
}

/** The app that the pool deployed from the same things, if the server still has all of it. */
async function upToDate(
  session: ModalSession,
  fingerprint: string,
  { share, appName = DEFAULT_APP_NAME, signal }: DeployOptions,
): Promise<RegisteredApp | null> {
  const known = await knownApp(share, fingerprint);
  if (known === null) return null;
  const found = await findDeployedApp(session, { appName, signal });
  if (found?.appId !== known.appId) return null;
  const isThere = ({ tag, functionId }: RegisteredApp["transcribe"]) => found.functionIds[tag] === functionId;
  const functions = [known.transcribe, known.convert, ...(known.remux === undefined ? [] : [known.remux])];
  return functions.every(isThere) ? known : null;
}

function beating(session: ModalSession, appId: string): { leave(): Promise<boolean> } {
  const heartbeat = keepAppAlive(session, { appId });
  return {
    leave: async () => {
      heartbeat.stop();
      return await Promise.resolve(false);
    },
  };
}
