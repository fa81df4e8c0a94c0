import { MirumojiError } from "../job/errors.ts";
import type { Ledger } from "../queue/ledger.ts";
import type { Apps, Volumes } from "../steps/ports.ts";

/** Modal's own clients beat apps this often; the grace of a missed one is not documented. */
const INTERVAL_MS = 15_000;
/** Modal's own clients beat volumes every 300 s; the time to live is not documented, so more often. */
const ROUNDS_PER_VOLUME_BEAT = 4;

/**
 * Keeps alive what live jobs need, whichever worker made it, also while a job waits for a retry: every
 * volume of the ledger, and every app that a call was started in. Several keepers at once do no harm:
 * a heartbeat has no owner.
 */
export function startKeeper(options: {
  ledger: Ledger;
  volumes: Volumes;
  apps: Apps;
  onError: (error: unknown, what: string) => void;
  intervalMs?: number;
}): { stop: () => Promise<void> } {
  const stopping = new AbortController();
  const { signal } = stopping;
  let rounds = 0;
  let current: Promise<void> = Promise.resolve();

  const attempt = async (what: string, beat: () => Promise<void>) => {
    try {
      await beat();
    } catch (error) {
      // That something vanished is found out by its job; here is nothing to do about it.
      const isGone = error instanceof MirumojiError && ["VOLUME_LOST", "APP_LOST"].includes(error.code);
      if (!isGone && !signal.aborted) options.onError(error, `heartbeat of ${what}`);
    }
  };
  const round = async () => {
    const entries = await options.ledger.list();
    for (const appId of new Set(entries.flatMap((entry) => entry.appId ?? []))) {
      await attempt(appId, async () => await options.apps.heartbeat({ appId, signal }));
    }
    if (rounds % ROUNDS_PER_VOLUME_BEAT === 0) {
      for (const { volumeId } of entries) {
        await attempt(volumeId, async () => await options.volumes.heartbeat({ volumeId, signal }));
      }
    }
    rounds += 1;
  };
  const timer = setInterval(() => {
    current = current.then(round).catch((error: unknown) => {
      options.onError(error, "keeper");
    });
  }, options.intervalMs ?? INTERVAL_MS);
  return {
    async stop() {
      clearInterval(timer);
      stopping.abort();
      await current;
    },
  };
}
