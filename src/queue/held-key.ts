import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";

const HOLD = `
local holder = redis.call("GET", KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return 1`;
const RELEASE =
  'if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0';

/** A key in Redis that one holder of the pool has at a time: a lock, or the leadership of some upkeep. */
export class HeldKey {
  readonly #redis: Redis;
  readonly #key: string;
  readonly #token = randomUUID();

  constructor(redis: Redis, key: string) {
    this.#redis = redis;
    this.#key = key;
  }

  /** Takes or keeps the key for a term, after which others may have it; false when another holder has it. */
  async hold(termMs: number): Promise<boolean> {
    return (await this.#redis.eval(HOLD, 1, this.#key, this.#token, termMs)) === 1;
  }

  /** Gives the key up, so that the next holder need not wait; does nothing when another holder has it by now. */
  async release(): Promise<void> {
    await this.#redis.eval(RELEASE, 1, this.#key, this.#token);
  }
}
