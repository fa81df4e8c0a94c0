import { toMirumojiError } from "../../job/errors.ts";
import type { AppShare } from "../../queue/app-share.ts";
import { heartbeatApp } from "./app.ts";
import type { ModalSession } from "../rpc/session.ts";

/** The app of a worker that died while it registered, if it can still be gone on with. */
export async function unfinishedApp(
  session: ModalSession,
  share: AppShare,
  fingerprint: string,
  signal: AbortSignal | undefined,
): Promise<string | null> {
  const known = await share.read();
  if (known === null || known.functions !== null || known.fingerprint !== fingerprint) return null;
  return (await isAlive(session, known.appId, signal)) ? known.appId : null;
}

/** Whether the app still takes heartbeats; this is one. */
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
