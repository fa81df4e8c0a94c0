import { toMirumojiError } from "../job/errors.ts";
import type { Ledger, LeftoverReason, LiveVolume } from "../queue/ledger.ts";
import type { Calls } from "../ports/calls.ts";
import type { Volumes } from "../ports/volumes.ts";
import { manyAtOnce } from "./many-at-once.ts";

/** A volume that no live job owns. */
export interface Leftover {
  readonly volume: LiveVolume;
  readonly reason: LeftoverReason;
  /** Reason why it could not be removed, or null; the next round tries again. */
  readonly problem: string | null;
}

export interface ReaperTools {
  readonly ledger: Ledger;
  readonly volumes: Volumes;
  readonly calls: Calls;
  readonly signal: AbortSignal;
}

/** Few, because what runs needs the server more. */
const REMOVALS_AT_ONCE = 4;

/**
 * Removes leftovers: each volume is deleted and its call cancelled. Harmless next to other reapers: every
 * action may be repeated.
 */
export async function reap(tools: ReaperTools, leftovers: readonly Leftover[]): Promise<Leftover[]> {
  const reaped: Leftover[] = [];
  await manyAtOnce(REMOVALS_AT_ONCE, [...leftovers.entries()], async ([index, leftover]) => {
    reaped[index] = { ...leftover, problem: await remove(leftover.volume, leftover.reason, tools) };
  });
  return reaped;
}

/**
 * The volumes of the ledger that no live job owns. A job that ended this moment may still clear its own books. Each is
 * judged by itself: one that cannot be judged is no leftover, and holds up no other.
 */
export async function findLeftovers(
  ledger: Ledger,
  onError: (error: unknown, what: string) => void,
): Promise<Leftover[]> {
  const leftovers: Leftover[] = [];
  for (const volume of await ledger.list()) {
    try {
      const reason = await ledger.leftoverReason(volume);
      if (reason !== null) leftovers.push({ volume, reason, problem: null });
    } catch (error) {
      onError(error, `volume ${volume.volumeId} cannot be judged`);
    }
  }
  return leftovers;
}

async function remove(
  volume: LiveVolume,
  reason: LeftoverReason,
  tools: ReaperTools,
): Promise<string | null> {
  const { signal } = tools;
  try {
    if (volume.callId !== null) {
      await tools.calls.cancel({ callId: volume.callId, terminateContainers: true, signal });
    }
    await tools.volumes.delete({ volumeId: volume.volumeId, signal });
    await tools.ledger.strike(volume, reason);
    return null;
  } catch (error) {
    const { code, message } = toMirumojiError(error);
    return `${code}: ${message}`;
  }
}
