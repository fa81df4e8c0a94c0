import type { Redis } from "ioredis";
import { z } from "zod";
import { type ErrorCode, isErrorCode } from "../job/errors.ts";

/** Reason why no worker of the pool takes jobs for now. */
export interface Pause {
  readonly code: ErrorCode;
  readonly message: string;
  /** When the first of the pauses began that followed each other, by Redis' clock; epoch milliseconds. */
  readonly since: number;
}

/** The pause of a whole pool: a key in Redis, with an expiry, that all workers read. */
export interface PoolPause {
  read(): Promise<Pause | null>;
  /** Begins or goes on with the pause; one that lasts longer already is not made shorter. */
  extend(reason: Pick<Pause, "code" | "message">, forMs: number): Promise<void>;
  /** Ends a pause for this reason; another one goes on. */
  lift(code: ErrorCode): Promise<void>;
}

/** Enough for the reason; the whole of it is in the logs of the worker that met it. */
const MESSAGE_CHARS = 500;

const EXTEND = `
local time = redis.call("TIME")
local since = time[1] * 1000 + math.floor(time[2] / 1000)
local left = 0
local known = redis.call("HGET", KEYS[1], "since")
if known then
  since = known
  left = redis.call("PTTL", KEYS[1])
end
redis.call("HSET", KEYS[1], "code", ARGV[1], "message", ARGV[2], "since", since)
redis.call("PEXPIRE", KEYS[1], math.max(left, tonumber(ARGV[3])))
return 1`;
const LIFT =
  'if redis.call("HGET", KEYS[1], "code") == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0';

const pauseSchema = z.object({
  code: z.custom<ErrorCode>(isErrorCode),
  message: z.string(),
  since: z.coerce.number(),
});

export function openPoolPause(redis: Redis, prefix: string): PoolPause {
  const key = `${prefix}:pause`;
  return {
    async read() {
      const pause = pauseSchema.safeParse(await redis.hgetall(key));
      return pause.success ? pause.data : null;
    },
    async extend({ code, message }, forMs) {
      await redis.eval(EXTEND, 1, key, code, message.slice(0, MESSAGE_CHARS), Math.ceil(forMs));
    },
    async lift(code) {
      await redis.eval(LIFT, 1, key, code);
    },
  };
}
