import { MirumojiError } from "../job/errors.ts";
import type { Ledger } from "../queue/ledger.ts";
import type { Volumes } from "../steps/ports.ts";

/** Modal's own clients beat every 300 s; the volume's time to live is not documented, so more often. */
const INTERVAL_MS = 60_000;

/**
 * Keeps every volume of the ledger alive, whichever worker made it, also while its job waits for a retry.
 * Several keepers at once do no harm: a heartbeat has no owner.
 */
export function startKeeper(options: {
  ledger: Ledger;
  volumes: Volumes;
  onError: (error: unknown, volumeId: string | null) => void;
  intervalMs?: number;
}): { stop: () => Promise<void> } {
  const stopping = new AbortController();
  let round: Promise<void> = Promise.resolve();
  const beat = async () => {
    const volumes = await options.ledger.list();
    for (const { volumeId } of volumes) {
      try {
        await options.volumes.heartbeat({ volumeId, signal: stopping.signal });
      } catch (error) {
        // A volume that vanished is found out by its job; here is nothing to do about it.
        const isGone = error instanceof MirumojiError && error.code === "VOLUME_LOST";
        if (!isGone && !stopping.signal.aborted) options.onError(error, volumeId);
      }
    }
  };
  const timer = setInterval(() => {
    round = round.then(beat).catch((error: unknown) => {
      options.onError(error, null);
    });
  }, options.intervalMs ?? INTERVAL_MS);
  return {
    async stop() {
      clearInterval(timer);
      stopping.abort();
      await round;
    },
  };
}
