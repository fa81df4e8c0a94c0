import { Redis } from "ioredis";
import { MirumojiError } from "../job/errors.ts";
import { defineScripts } from "./scripts.ts";

/** A connection to Redis; only `queue/` sends commands over it. */
export type RedisConnection = Redis;

/**
 * Opens one connection with our scripts on it. Commands wait while Redis is away (a worker must outlive
 * its Redis); `failFast` is for programs that people wait for.
 */
export function connectRedis(url: string, options: { failFast?: boolean } = {}): Redis {
  const redis = new Redis(url, {
    maxRetriesPerRequest: options.failFast === true ? 1 : null,
    enableReadyCheck: true,
    lazyConnect: true,
    ...(options.failFast === true ? { connectTimeout: 5000, retryStrategy: () => null } : {}),
  });
  defineScripts(redis);
  return redis;
}

/**
 * Waits until Redis answers.
 *
 * @throws MirumojiError `REDIS_UNAVAILABLE`; credentials in the URL are not shown
 */
export async function ensureRedis(redis: Redis, url: string): Promise<void> {
  try {
    if (redis.status === "wait") await redis.connect();
    await redis.ping();
  } catch (cause) {
    throw new MirumojiError(
      "REDIS_UNAVAILABLE",
      `Redis does not answer at ${withoutCredentials(url)}; is it running, and is REDIS_URL right?`,
      { cause },
    );
  }
}

/**
 * A connection that outlives its Redis. The first answer is waited for with a limit, so that a wrong address
 * is told at once.
 *
 * @throws MirumojiError `REDIS_UNAVAILABLE`
 */
export async function connectLastingRedis(url: string, onError: (error: unknown) => void): Promise<Redis> {
  const probe = connectRedis(url, { failFast: true });
  probe.on("error", () => undefined);
  try {
    await ensureRedis(probe, url);
  } finally {
    probe.disconnect();
  }
  const redis = connectRedis(url);
  redis.on("error", onError);
  await ensureRedis(redis, url);
  return redis;
}

/** Asks Redis whether it is there: `PONG`, or what is the matter. Does not wait while the connection is down. */
export async function pingRedis(redis: Redis): Promise<string> {
  return redis.status === "ready" ? await redis.ping() : `the connection is ${redis.status}`;
}

/** A Redis URL that may be shown and logged. */
function withoutCredentials(url: string): string {
  try {
    const parsed = new URL(url);
    parsed.username = "";
    parsed.password = "";
    return parsed.toString();
  } catch {
    return "(unreadable URL)";
  }
}

/** Closes a connection. ioredis announces no end of one that waits to reconnect; those who close with it need one. */
export function closeRedis(redis: Redis): void {
  const isWaiting = redis.status === "reconnecting";
  redis.disconnect();
  if (isWaiting) redis.emit("end");
}
