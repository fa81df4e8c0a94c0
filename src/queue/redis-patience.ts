import type { Command } from "ioredis";
import { MirumojiError } from "../job/errors.ts";
import { isNoPrimary, redisRefusal } from "./redis-refusal.ts";

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 5000;
/** Longer than any pause between two tries, so that refusals in a row are known as such. */
const CALM_MS = 2 * LONGEST_DELAY_MS;
/** Commands that were on their way together are refused together. */
const TOGETHER_MS = 50;

/** How long commands may wait for a Redis that is away, in milliseconds; null: for ever. */
export type PatienceMs = number | null;

/**
 * How one connection bears with Redis. While it is away or no primary, another connection is tried after pauses that
 * grow, and commands wait; when the patience is over they fail, and later ones fail at once until Redis serves again.
 */
export class Patience {
  readonly #patienceMs: PatienceMs;
  readonly #pending = new Set<Command>();
  readonly #typed = new WeakSet<Command["reject"]>();
  #timer: NodeJS.Timeout | undefined;
  #onRefusal: (error: Error) => void = () => undefined;
  #isAway = false;
  #isOver = false;
  #refusals = 0;
  #refusedSince = 0;
  #refusedAt = -Infinity;

  constructor(patienceMs: PatienceMs) {
    this.#patienceMs = patienceMs;
  }

  /** ioredis' `retryStrategy`. A replica takes every connection, so its refusals count as failures too. */
  readonly delayMs = (times: number): number => {
    const failures = Math.max(times, this.#isCalm() ? 0 : this.#refusals);
    const longest = this.#patienceMs === null ? LONGEST_DELAY_MS : LONGEST_DELAY_MS / 5;
    return Math.min(longest, FIRST_DELAY_MS * 2 ** (failures - 1)) * (0.75 + Math.random() / 2);
  };

  /** ioredis' `reconnectOnError`: 2 connects anew and sends the command again, 1 connects anew and lets it fail. */
  readonly onReplyError = (error: Error): false | 1 | 2 => {
    if (!isNoPrimary(error)) return false;
    const now = performance.now();
    if (this.#isCalm()) {
      this.#refusedSince = now;
      this.#refusals = 0;
    }
    const isNew = now - this.#refusedAt > TOGETHER_MS;
    this.#refusedAt = now;
    if (isNew) {
      this.#refusals += 1;
      this.#onRefusal(redisRefusal(error) ?? error);
    }
    return now - this.#refusedSince < (this.#patienceMs ?? Infinity) ? 2 : 1;
  };

  /** Whom to tell that Redis is no primary: the commands that met it wait, and nobody else would hear of it. */
  onRefusal(listener: (error: Error) => void): void {
    this.#onRefusal = listener;
  }

  /** Takes note of a command, whose errors are typed from here on; false when it has failed already. */
  admit(command: Command, isConnecting: boolean): boolean {
    if (!this.#typed.has(command.reject)) {
      const reject = command.reject;
      command.reject = (error) => reject(redisRefusal(error) ?? error);
      this.#typed.add(command.reject);
    }
    if (this.#patienceMs === null) return true;
    // Commands that are sent while connecting may be those that make the connection.
    if (this.#isOver && !isConnecting) {
      command.reject(this.#unavailable());
      return false;
    }
    this.#pending.add(command);
    const forget = () => this.#pending.delete(command);
    command.promise.then(forget, forget);
    return true;
  }

  /** The connection is down. `drop` empties the queues of the connection. */
  away(drop: (error: Error) => void): void {
    const giveUp = () => {
      this.#isOver = true;
      const error = this.#unavailable();
      for (const command of this.#pending) command.reject(error);
      this.#pending.clear();
      drop(error);
    };
    if (this.#isOver) giveUp();
    if (this.#isAway || this.#patienceMs === null) return;
    this.#isAway = true;
    this.#timer = setTimeout(giveUp, this.#patienceMs);
    this.#timer.unref();
  }

  /** Redis serves again, or the connection is closed for good. */
  back(): void {
    clearTimeout(this.#timer);
    this.#isAway = false;
    this.#isOver = false;
  }

  #isCalm(): boolean {
    return performance.now() - this.#refusedAt > CALM_MS;
  }

  #unavailable(): MirumojiError {
    const seconds = (this.#patienceMs ?? 0) / 1000;
    return new MirumojiError(
      "REDIS_UNAVAILABLE",
      `Redis was away for ${seconds} s; is it running, and can it be reached?`,
      { retryAfterMs: LONGEST_DELAY_MS },
    );
  }
}
