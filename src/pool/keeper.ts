import { MirumojiError } from "../job/errors.ts";
import type { Ledger } from "../queue/ledger.ts";
import type { TellUnreadable } from "../queue/unreadable.ts";
import type { Apps } from "../ports/apps.ts";
import type { Volumes } from "../ports/volumes.ts";
import { manyAtOnce } from "./many-at-once.ts";

/** While Modal is ill a heartbeat takes up to 30 s; others must not wait for it. */
const BEATS_AT_ONCE = 16;

/** Needs of live jobs. */
export interface Needed {
  readonly appIds: readonly string[];
  readonly volumeIds: readonly string[];
}

/**
 * Reads what live jobs need, whichever worker made it, also while a job waits for a retry: every app that a call was
 * started in, and every volume of the ledger, also one whose entry cannot be read.
 */
export async function readNeeded(ledger: Ledger, onUnreadable: TellUnreadable): Promise<Needed> {
  const { volumes, unreadable } = await ledger.read();
  for (const volumeId of unreadable) onUnreadable("ledger", volumeId);
  return {
    appIds: [...new Set(volumes.flatMap((entry) => entry.appId ?? []))],
    volumeIds: [...volumes.map(({ volumeId }) => volumeId), ...unreadable],
  };
}

/** Sends the heartbeats. */
export async function keepAlive(
  needed: Needed,
  options: {
    volumes: Volumes;
    apps: Apps;
    withVolumes: boolean;
    signal: AbortSignal;
    onError: (error: unknown, what: string) => void;
  },
): Promise<void> {
  const { signal } = options;
  const attempt = async (what: string, beat: () => Promise<void>) => {
    try {
      await beat();
    } catch (error) {
      // A vanished resource is found out by its job; there is nothing to do about it here.
      const isGone = error instanceof MirumojiError && ["VOLUME_LOST", "APP_LOST"].includes(error.code);
      if (!isGone && !signal.aborted) options.onError(error, `heartbeat of ${what}`);
    }
  };
  await manyAtOnce(BEATS_AT_ONCE, needed.appIds, async (appId) => {
    await attempt(appId, async () => await options.apps.heartbeat({ appId, signal }));
  });
  if (!options.withVolumes) return;
  await manyAtOnce(BEATS_AT_ONCE, needed.volumeIds, async (volumeId) => {
    await attempt(volumeId, async () => await options.volumes.heartbeat({ volumeId, signal }));
  });
}
