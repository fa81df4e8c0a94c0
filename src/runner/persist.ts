import { setTimeout as sleep } from "node:timers/promises";
import { MirumojiError } from "../job/errors.ts";
import type { Delivery } from "../queue/delivery.ts";
import type { Commit, Committed } from "../queue/lease.ts";

/** A Redis that is full, or waits for its replicas, is asked again this often. */
const AGAIN_MS = 1000;

/**
 * Commits, and goes on trying while Redis takes no writes, for as long as the job is this worker's: what was earned must
 * not be earned again.
 */
export async function persist({ lease, signals: { stopped } }: Delivery, commit: Commit): Promise<Committed> {
  for (;;) {
    try {
      return await lease.commit(commit);
    } catch (error) {
      const isRefusal = error instanceof MirumojiError && error.kind === "storage";
      if (!isRefusal || stopped.aborted) throw error;
      await sleep(AGAIN_MS, undefined, { signal: stopped }).catch(() => undefined);
    }
  }
}
