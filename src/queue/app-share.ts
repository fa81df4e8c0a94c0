import type { JobType } from "../job/contract.ts";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { z } from "zod";
import { HeldKey } from "./held-key.ts";
import { ledgerKey } from "./keys.ts";
import { readJson } from "./unreadable.ts";

/** The registered functions of an app, as every worker of the pool can use them. */
export interface SharedApp {
  readonly appId: string;
  /** Digest of the settings it was registered from; another fingerprint needs another app. */
  readonly fingerprint: string;
  /** Null while a worker registers them, or when it died while doing so. */
  readonly functions: SharedFunctions | null;
}

export type SharedFunctions = Readonly<Record<JobType, SharedFunction>> & {
  readonly remux?: SharedFunction | undefined;
};

export interface SharedFunction {
  readonly tag: string;
  readonly functionId: string;
  readonly definitionId: string;
}

/** Record, in Redis, of the one app that the workers of a pool share. */
export interface AppShare {
  read(): Promise<SharedApp | null>;
  write(app: SharedApp): Promise<void>;
  /** Runs the action while no other worker registers; waits for its turn. */
  exclusively<T>(action: () => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** Says that this worker uses the app; to be repeated with every heartbeat. */
  join(appId: string): Promise<void>;
  /** Says that it no longer does; true when no other worker uses the app and no call needs it. */
  leave(appId: string): Promise<boolean>;
}

const LOCK_RETRY_MS = 200;
/** Three heartbeats: a worker that missed them all is not there any more. */
const MEMBER_MS = 45_000;

const functionSchema = z.object({ tag: z.string(), functionId: z.string(), definitionId: z.string() });
const appSchema = z.object({
  appId: z.string(),
  fingerprint: z.string(),
  functions: z
    .object({ transcribe: functionSchema, convert: functionSchema, remux: functionSchema.optional() })
    .nullable(),
});

/** Leaves; answers 1 when no other member is there and no volume is in use. */
const LEAVE = `
redis.call("ZREM", KEYS[1], ARGV[1])
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", ARGV[2])
if redis.call("ZCARD", KEYS[1]) > 0 or redis.call("HLEN", KEYS[2]) > 0 then return 0 end
local known = redis.call("GET", KEYS[3])
local isReadable, app = pcall(cjson.decode, known or "null")
if isReadable and type(app) == "table" and app.appId == ARGV[3] then redis.call("DEL", KEYS[3]) end
return 1`;

/**
 * The pool's knowledge of its app, in Redis.
 *
 * @param options.leaseMs - how long a worker that dies while it registers, which may take the building of an image,
 * holds up the others; one that lives renews its right
 * @param options.now - in epoch milliseconds
 */
export function createAppShare(
  redis: Redis,
  { prefix, leaseMs, now }: { readonly prefix: string; readonly leaseMs: number; readonly now: () => number },
): AppShare {
  const me = randomUUID();
  const record = `${prefix}:app`;
  const members = (appId: string) => `${prefix}:app:${appId}:members`;
  return {
    async read() {
      const text = await redis.get(record);
      if (text === null) return null;
      // An unreadable record is as good as none: the next worker registers, and writes it anew.
      const parsed = appSchema.safeParse(readJson(text));
      return parsed.success ? parsed.data : null;
    },
    async write(app) {
      await redis.set(record, JSON.stringify(app));
    },
    async exclusively(action, signal) {
      const lock = new HeldKey(redis, `${prefix}:app:lock`);
      while (!(await lock.hold(leaseMs))) {
        await sleep(LOCK_RETRY_MS, undefined, signal === undefined ? {} : { signal });
      }
      const renewal = setInterval(() => {
        lock.hold(leaseMs).catch(() => undefined);
      }, leaseMs / 3);
      try {
        return await action();
      } finally {
        clearInterval(renewal);
        await lock.release();
      }
    },
    async join(appId) {
      await redis
        .multi()
        .zadd(members(appId), now() + MEMBER_MS, me)
        .pexpire(members(appId), MEMBER_MS)
        .exec();
    },
    async leave(appId) {
      const left = await redis.eval(LEAVE, 3, members(appId), ledgerKey(prefix), record, me, now(), appId);
      return left === 1;
    },
  };
}
