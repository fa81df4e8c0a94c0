import { connectClientRedis, type RedisSettings } from "./connection.ts";

/** Facts about a Redis that an operator should know. */
export interface RedisFacts {
  readonly version: string;
  /** `maxmemory-policy`; anything but `noeviction` may throw jobs away. */
  readonly evictionPolicy: string;
  readonly appendOnly: boolean;
}

/** @throws MirumojiError `REDIS_UNAVAILABLE` */
export async function inspectRedis(settings: RedisSettings): Promise<RedisFacts> {
  const redis = await connectClientRedis(settings);
  try {
    const info = await redis.info();
    const field = (name: string) => new RegExp(`^${name}:(.*)$`, "mu").exec(info)?.[1]?.trim() ?? "unknown";
    return {
      version: field("redis_version"),
      evictionPolicy: field("maxmemory_policy"),
      appendOnly: field("aof_enabled") === "1",
    };
  } finally {
    redis.disconnect();
  }
}
