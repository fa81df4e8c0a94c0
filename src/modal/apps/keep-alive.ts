import { type MirumojiError, toMirumojiError } from "../../job/errors.ts";
import type { ModalSession } from "../rpc/session.ts";
import { HEARTBEAT_MS, heartbeatApp } from "./app.ts";

/**
 * Heartbeats an app at once and every 15 seconds, on a timer that no job can delay. A failed heartbeat is reported
 * and the next one is sent anyway; after `APP_LOST` heartbeats stop.
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
