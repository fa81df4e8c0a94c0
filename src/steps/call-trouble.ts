import { MirumojiError } from "../job/errors.ts";
import type { StepJob, StepTools } from "./context.ts";

/** One long poll; well under the 55 s that Modal allows, so that cancels and stops are never late. */
export const POLL_MS = 25_000;

/**
 * Throws what is behind the failure of a call, where something is. A call that ended together with its app is lost, not
 * cancelled, and a call whose volume vanished did not fail by itself: neither is the job's fault, and both can be made
 * again.
 */
export async function throwRealCause(
  error: MirumojiError,
  { facts: { callId = "", appId, volumeId }, signal }: StepJob<"call">,
  { apps, volumes }: Pick<StepTools, "apps" | "volumes">,
): Promise<void> {
  if (error.code === "FUNCTION_TERMINATED" && appId !== undefined) {
    try {
      await apps.heartbeat({ appId, signal });
    } catch (gone) {
      if (!(gone instanceof MirumojiError) || gone.code !== "APP_LOST") throw gone;
      throw new MirumojiError("CALL_LOST", `call ${callId} ended with its app ${appId}`, { cause: error });
    }
  }
  if (error.code === "FUNCTION_FAILED") await volumes.heartbeat({ volumeId, signal });
}
