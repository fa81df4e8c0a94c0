import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { MirumojiError } from "../job/errors.ts";
import { type RedisAddress, redisAddress } from "./redis-address.ts";
import { type Bearing, PatientCluster, PatientRedis } from "./patient-redis.ts";
import { redisRefusal } from "./redis-refusal.ts";
import { defineScripts } from "./scripts.ts";

/** A connection to Redis; only `queue/` sends commands over it. */
export type RedisConnection = Redis;

/** Redis as the environment names it. */
export interface RedisSettings {
  readonly REDIS_URL: string;
  /** File with authorities for TLS. */
  readonly MIRUMOJI_REDIS_CA?: string | undefined;
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
/** A Redis that is silent for this long when a worker stops is not waited for. */
const STOP_ANSWER_MS = 3000;
const PROBE_KEPT_MS = 60_000;

/**
 * Opens one connection with our scripts on it. Commands wait while Redis is away, for ever unless told otherwise: a
 * worker must outlive its Redis.
 */
export function connectRedis(where: string | RedisSettings, bearing: Bearing = LASTING): Redis {
  const settings: RedisSettings = typeof where === "string" ? { REDIS_URL: where } : where;
  const redis = open(redisAddress(settings.REDIS_URL, authorities(settings.MIRUMOJI_REDIS_CA)), bearing);
  defineScripts(redis);
  return redis;
}

function authorities(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new MirumojiError(
      "CONFIG_INVALID",
      `MIRUMOJI_REDIS_CA: ${file} cannot be read (${String(cause)})`,
      {
        cause,
      },
    );
  }
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
  let reason: Error | undefined;
  const onError = (error: Error) => {
    reason ??= error;
  };
  redis.on("error", onError);
  try {
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error("no answer in time")), FIRST_ANSWER_MS);
    });
    const connected = redis.status === "wait" ? redis.connect() : Promise.resolve();
    await Promise.race([connected.then(async () => await redis.ping()), late]);
  } catch (failure) {
    // A connection that fails says only that it is closed; the reason came before.
    const cause = reason ?? failure;
    const refusal = cause instanceof Error ? redisRefusal(cause) : null;
    const where = withoutCredentials(url);
    const words = `Redis does not answer at ${where} (${String(cause)}); is it running, and is REDIS_URL right?`;
    throw refusal ?? new MirumojiError("REDIS_UNAVAILABLE", words, { cause });
  } finally {
    clearTimeout(timer);
    redis.off("error", onError);
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

/**
 * Waits for work that needs Redis, such as handing jobs back. A Redis that does not answer is not waited for: its
 * connection is closed, so that commands fail, and `false` is given.
 */
export async function unlessGone(redis: Redis, work: Promise<void>): Promise<boolean> {
  const done = work.then(() => true);
  for (;;) {
    const answer = redis.ping().then(
      () => "answered" as const,
      () => "gone" as const,
    );
    const late = sleep(STOP_ANSWER_MS, "gone" as const, { ref: false });
    const first = await Promise.race([done, answer, late]);
    if (first === true) return true;
    if (first === "gone") break;
    if (await Promise.race([done, sleep(STOP_ANSWER_MS / 3, false, { ref: false })])) return true;
  }
  closeRedis(redis);
  await Promise.race([done.catch(() => false), sleep(STOP_ANSWER_MS / 3, false)]);
  return false;
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
