import type { CallState } from "../../ports/calls.ts";
import { orAborted } from "../rpc/abort.ts";

/** An opened call is given away no later than this; its function may have been replaced since. */
const FRESH_MS = 30_000;

/** Longest wait of a first look: as long as that of the poll which comes for it. */
export const FIRST_LOOK_MS = 25_000;

interface Opened {
  readonly at: number;
  /** Null where it could not be opened. */
  readonly callId: Promise<string | null>;
}

/** Calls without input that were opened before they are needed, so that a far server need not be waited for. */
export class OpenedAhead {
  readonly #calls = new Map<string, readonly Opened[]>();

  /** Keeps a call of the function that is being opened. */
  add(functionId: string, opening: Promise<string>): void {
    const callId = opening.catch(() => null);
    for (const known of this.#calls.keys()) this.#forgetOld(known);
    this.#calls.set(functionId, [...this.#fresh(functionId), { at: performance.now(), callId }]);
  }

  /** A call of the function that nobody else gets; null where there is none. */
  async take(functionId: string, signal: AbortSignal): Promise<string | null> {
    const [oldest, ...others] = this.#fresh(functionId);
    if (oldest === undefined) return null;
    this.#calls.set(functionId, others);
    return await orAborted(oldest.callId, signal);
  }

  #fresh(functionId: string): readonly Opened[] {
    const now = performance.now();
    return (this.#calls.get(functionId) ?? []).filter(({ at }) => now - at < FRESH_MS);
  }

  #forgetOld(functionId: string): void {
    if (this.#fresh(functionId).length === 0) this.#calls.delete(functionId);
  }
}

interface Look {
  readonly at: number;
  /** Null where there is nothing yet, or nothing can be told. */
  readonly state: Promise<CallState | null>;
  readonly stopping: AbortController;
}

/** Looks for the results of calls that are sent right behind the inputs, without waiting for the answer to these. */
export class FirstLooks {
  readonly #looks = new Map<string, Look>();

  /** Sends the look at a call whose input has just been sent. */
  begin(callId: string, look: (signal: AbortSignal) => Promise<CallState | null>): void {
    const stopping = new AbortController();
    const state = look(stopping.signal).catch(() => null);
    for (const [known, { at }] of this.#looks) {
      if (performance.now() - at > FRESH_MS) this.#looks.delete(known);
    }
    this.#looks.set(callId, { at: performance.now(), state, stopping });
  }

  /** Result of the look that was begun; null where none was, it may wait for longer than wanted, or it found nothing. */
  async take(
    callId: string,
    { waitMs, signal }: { readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<CallState | null> {
    const look = this.#looks.get(callId);
    if (look === undefined) return null;
    this.#looks.delete(callId);
    if (waitMs < FIRST_LOOK_MS || performance.now() - look.at > FRESH_MS) {
      look.stopping.abort();
      return null;
    }
    try {
      return await orAborted(look.state, signal);
    } finally {
      look.stopping.abort();
    }
  }

  /** Gives up the look at a call. */
  drop(callId: string): void {
    this.#looks.get(callId)?.stopping.abort();
    this.#looks.delete(callId);
  }
}
