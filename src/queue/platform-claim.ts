import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { MirumojiError } from "../job/errors.ts";
import { ledgerKey } from "./keys.ts";

/** Three renewals: a worker that missed them all is not there any more. */
const MEMBER_MS = 45_000;

/**
 * Claims a prefix for a server, unless it is another one's: workers of that live, or its volumes are in the ledger.
 * Answers nothing when it is claimed, else the name of that server, how many workers it has and how many volumes.
 */
const CLAIM = `
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call("ZREMRANGEBYSCORE", KEYS[2], "-inf", now)
local holder = redis.call("HGET", KEYS[1], "id")
if holder and holder ~= ARGV[2] then
  redis.call("ZREM", KEYS[2], ARGV[1])
  local workers, volumes = redis.call("ZCARD", KEYS[2]), redis.call("HLEN", KEYS[3])
  if workers > 0 or volumes > 0 then
    return { redis.call("HGET", KEYS[1], "name") or holder, workers, volumes }
  end
end
redis.call("HSET", KEYS[1], "id", ARGV[2], "name", ARGV[3])
redis.call("ZADD", KEYS[2], now + ARGV[4], ARGV[1])
redis.call("PEXPIRE", KEYS[2], ARGV[4])
return {}`;

/** The server that the volumes and calls of a pool live on; there is one for each prefix. */
export interface PlatformClaim {
  /**
   * Takes or keeps the prefix for a server.
   *
   * @throws MirumojiError `PREFIX_IN_USE`
   */
  hold(platform: { readonly id: string; readonly name: string }): Promise<void>;
  /** Says that this worker is gone. */
  release(): Promise<void>;
}

export function openPlatformClaim(redis: Redis, prefix: string): PlatformClaim {
  const me = randomUUID();
  const record = platformKey(prefix);
  const members = `${record}:workers`;
  return {
    async hold({ id, name }) {
      const answer = await redis.eval(CLAIM, 3, record, members, ledgerKey(prefix), me, id, name, MEMBER_MS);
      const [holder, workers, volumes] = answer as [string?, number?, number?];
      if (holder !== undefined)
        throw inUse(prefix, { holder, name, workers: workers ?? 0, volumes: volumes ?? 0 });
    },
    async release() {
      await redis.zrem(members, me);
    },
  };
}

/**
 * Refuses to touch the volumes of a prefix that is another server's.
 *
 * @throws MirumojiError `PREFIX_IN_USE`
 */
export async function checkPlatform(
  redis: Redis,
  prefix: string,
  platform: { readonly id: string; readonly name: string },
): Promise<void> {
  const [id, holder] = await redis.hmget(platformKey(prefix), "id", "name");
  if (typeof id !== "string" || id === platform.id) return;
  const volumes = await redis.hlen(ledgerKey(prefix));
  throw inUse(prefix, { holder: holder ?? id, name: platform.name, workers: 0, volumes });
}

/** Hash of the server that a prefix belongs to. */
function platformKey(prefix: string): string {
  return `${prefix}:platform`;
}

function inUse(
  prefix: string,
  about: {
    readonly holder: string;
    readonly name: string;
    readonly workers: number;
    readonly volumes: number;
  },
): MirumojiError {
  const { holder, name, workers, volumes } = about;
  return new MirumojiError(
    "PREFIX_IN_USE",
    `the queues ${prefix} belong to ${holder} (${workers} workers, ${volumes} live volumes), and this is ${name}; ` +
      "give this pool a MIRUMOJI_QUEUE_PREFIX of its own, or let all its workers use one server",
  );
}
