import type { Redis } from "ioredis";
import { MirumojiError } from "../job/errors.ts";
import { type RedisAddress, redisAddress } from "./redis-address.ts";
import { type Bearing, PatientCluster, PatientRedis } from "./redis-client.ts";
import { redisRefusal } from "./redis-refusal.ts";
import { defineScripts } from "./scripts.ts";

/** A connection to Redis; only `queue/` sends commands over it. */
export type RedisConnection = Redis;

/** Redis as the environment names it. */
export interface RedisSettings {
  readonly REDIS_URL: string;
  /** In seconds. */
  readonly MIRUMOJI_REDIS_RETRY?: number | undefined;
}

/** For what people wait for: they are told soon. */
const PROMPT: Bearing = { patienceMs: 2000, answerMs: 3000 };
/** A silent server is noticed, pings included, before a lease of 15 s has run out. */
const ANSWER_MS = 8000;
const LASTING: Bearing = { patienceMs: null, answerMs: ANSWER_MS };
const DEFAULT_RETRY_SECONDS = 30;
const FIRST_ANSWER_MS = 5000;
const PROBE_KEPT_MS = 60_000;

/**
 * Opens one connection with our scripts on it. Commands wait while Redis is away, for ever unless told otherwise: a
 * worker must outlive its Redis.
 */
export function connectRedis(where: string | RedisSettings, bearing: Bearing = LASTING): Redis {
  const settings = typeof where === "string" ? { REDIS_URL: where } : where;
  const redis = open(redisAddress(settings.REDIS_URL), bearing);
  defineScripts(redis);
  return redis;
}

function open(address: RedisAddress, bearing: Bearing): Redis {
  if (address.kind === "single") return new PatientRedis(address.options, bearing);
  // A cluster takes the same commands; what differs (`duplicate`, `nodes`) is called in this folder only.
  return new PatientCluster(address.nodes, address.options, bearing) as unknown as Redis;
}

/**
 * Waits until Redis answers, which it must do soon: a wrong address is told at once.
 *
 * @throws MirumojiError `REDIS_UNAVAILABLE` or what Redis says is wrong; credentials in the URL are not shown
 */
async function ensureRedis(redis: Redis, { REDIS_URL: url }: RedisSettings): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  try {
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error("no answer in time")), FIRST_ANSWER_MS);
    });
    const connected = redis.status === "wait" ? redis.connect() : Promise.resolve();
    await Promise.race([connected.then(async () => await redis.ping()), late]);
  } catch (cause) {
    const refusal = cause instanceof Error ? redisRefusal(cause) : null;
    const where = withoutCredentials(url);
    const words = `Redis does not answer at ${where} (${String(cause)}); is it running, and is REDIS_URL right?`;
    throw refusal ?? new MirumojiError("REDIS_UNAVAILABLE", words, { cause });
  } finally {
    clearTimeout(timer);
  }
}

/**
 * A connection that outlives its Redis.
 *
 * @throws MirumojiError `REDIS_UNAVAILABLE` or what Redis says is wrong
 */
export async function connectLastingRedis(
  settings: RedisSettings,
  onError: (error: unknown) => void,
): Promise<Redis> {
  return await connectAnswering(settings, LASTING, onError);
}

/**
 * A connection for what people wait for: a call fails 2 s after Redis went away, later ones at once, and all is well
 * again when Redis is.
 *
 * @throws MirumojiError `REDIS_UNAVAILABLE` or what Redis says is wrong
 */
export async function connectPromptRedis(
  settings: RedisSettings,
  onError: (error: unknown) => void,
): Promise<Redis> {
  return await connectAnswering(settings, PROMPT, onError);
}

/**
 * A connection for programs that submit and look at jobs: calls wait for a Redis that is away as long as the settings
 * say.
 *
 * @throws MirumojiError `REDIS_UNAVAILABLE` or what Redis says is wrong
 */
export async function connectClientRedis(settings: RedisSettings): Promise<Redis> {
  const patienceMs = (settings.MIRUMOJI_REDIS_RETRY ?? DEFAULT_RETRY_SECONDS) * 1000;
  // Failures show where commands fail.
  return await connectAnswering(settings, { patienceMs, answerMs: ANSWER_MS }, () => undefined);
}

async function connectAnswering(
  settings: RedisSettings,
  bearing: Bearing,
  onError: (error: unknown) => void,
): Promise<Redis> {
  const redis = connectRedis(settings, bearing);
  redis.on("error", onError);
  try {
    await ensureRedis(redis, settings);
    return redis;
  } catch (error) {
    closeRedis(redis);
    throw error;
  }
}

/**
 * Writes to Redis: one that only answers may be full, a replica, or refuse us.
 *
 * @throws MirumojiError `REDIS_UNAVAILABLE` or what Redis says is wrong
 */
export async function probeRedis(redis: Redis, prefix: string): Promise<void> {
  await redis.set(`${prefix}:probe`, "1", "PX", PROBE_KEPT_MS);
}

/** A Redis URL that may be shown and logged. */
function withoutCredentials(url: string): string {
  return url.replace(/\/\/[^@/]*@/u, "//");
}

/** Closes a connection. ioredis announces no end of one that waits to reconnect; those who close with it need one. */
export function closeRedis(redis: Redis): void {
  const isWaiting = redis.status === "reconnecting";
  redis.disconnect();
  if (isWaiting) redis.emit("end");
}
