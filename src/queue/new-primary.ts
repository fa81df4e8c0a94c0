import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { primaryKey } from "./keys.ts";
import { runScript } from "./scripts.ts";

/** Longer than the pause between two tries to connect (5 s, and a quarter) takes, with the connecting. */
const GRACE_MS = 10_000;

/**
 * The time after a failover in which no job is begun. The new primary may lack the newest of jobs that others have, even
 * that they were taken; whoever began them would pay for their calls again. Until it is over, the others say again what
 * they know (`restate.lua`).
 */
export class NewPrimary {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #onError: (error: unknown) => void;
  /** When the time is over, by the steady clock. */
  #overAt: Promise<number>;

  constructor(redis: Redis, prefix: string, onError: (error: unknown) => void) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.#onError = onError;
    this.#overAt = this.#ask();
    redis.on("ready", this.#askAgain);
  }

  /**
   * Waits until the time is over, or the signal aborts; whether there was anything to wait for. `isSuspect`: the job was
   * in other hands before, and a cluster may have another primary without a word.
   */
  async settled(signal: AbortSignal, isSuspect: boolean): Promise<boolean> {
    if (isSuspect) this.#askAgain();
    const leftMs = (await this.#overAt) - performance.now();
    if (leftMs <= 0) return false;
    await sleep(leftMs, undefined, { signal }).catch(() => undefined);
    return true;
  }

  close(): void {
    this.#redis.off("ready", this.#askAgain);
  }

  readonly #askAgain = (): void => {
    this.#overAt = this.#ask();
  };

  async #ask(): Promise<number> {
    try {
      const keys = { primary: primaryKey(this.#prefix) };
      const leftMs = await runScript(this.#redis, "primary", { keys, args: { graceMs: String(GRACE_MS) } });
      return leftMs > 0 ? performance.now() + leftMs : 0;
    } catch (error) {
      this.#onError(error);
      return 0;
    }
  }
}
