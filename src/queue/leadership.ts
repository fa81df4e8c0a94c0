import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";

const HOLD = `
local leader = redis.call("GET", KEYS[1])
if leader and leader ~= ARGV[1] then return 0 end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return 1`;
const RESIGN = 'if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0';

/** One of all workers does what only one should do. */
export interface Leadership {
  /** Takes or keeps the office for a term, after which others may have it; false when another worker has it. */
  hold(termMs: number): Promise<boolean>;
  /** Gives it up, so that the next one need not wait. */
  resign(): Promise<void>;
}

export function createLeadership(redis: Redis, prefix: string, office: string): Leadership {
  const key = `${prefix}:leader:${office}`;
  const me = randomUUID();
  return {
    hold: async (termMs) => (await redis.eval(HOLD, 1, key, me, termMs)) === 1,
    resign: async () => {
      await redis.eval(RESIGN, 1, key, me);
    },
  };
}
