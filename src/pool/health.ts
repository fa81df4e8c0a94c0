import { statfs } from "node:fs/promises";
import { toMirumojiError } from "../job/errors.ts";

/** Null when all is well, else what is wrong, for people. */
export type HealthCheck = () => Promise<string | null>;

/** Idle consumers poll at least every 10 s, and every 30 s while the queue is slowed down. */
const POLL_LIMIT_MS = 60_000;
/** How long an answer of the Modal server counts: probes come often, and each one costs a request. */
const MODAL_ANSWER_MS = 15_000;

/** Things without which a worker is of no use. */
export interface WorkerVitals {
  /** Throws when nothing can be written to Redis. */
  readonly probeRedis: () => Promise<void>;
  readonly isStopping: () => boolean;
  /** Since a consumer last asked for a job though it had room for one. */
  readonly sincePollMs: () => number;
  /** Why no jobs are taken. */
  readonly holds: () => ReadonlyMap<string, string>;
  /** Throws when the functions cannot be registered. */
  readonly register: () => Promise<unknown>;
  /** Throws when the Modal server does not answer or takes the token no more. */
  readonly sayHello: () => Promise<void>;
  readonly mediaRoot: string;
  readonly minFreeBytes: number;
}

/** The checks of `/readyz`. */
export function workerHealth(vitals: WorkerVitals) {
  const hello = remembered(async () => {
    await vitals.register();
    await vitals.sayHello();
    return null;
  }, MODAL_ANSWER_MS);
  return {
    redis: redisHealth(vitals.probeRedis),
    consumers: async () => {
      const seconds = Math.round(vitals.sincePollMs() / 1000);
      const isLate = seconds * 1000 > POLL_LIMIT_MS;
      return await Promise.resolve(isLate ? `no job was asked for in ${seconds} s` : null);
    },
    intake: async () => {
      const [why] = vitals.holds().values();
      return await Promise.resolve(why === undefined ? null : `no jobs are taken: ${why}`);
    },
    modal: hello,
    disk: diskHealth(vitals.mediaRoot, vitals.minFreeBytes),
    draining: async () => await Promise.resolve(vitals.isStopping() ? "the worker is stopping" : null),
  } satisfies Readonly<Record<string, HealthCheck>>;
}

/** Fails when nothing can be written to Redis. */
export function redisHealth(probe: () => Promise<void>): HealthCheck {
  return async () => {
    try {
      await probe();
      return null;
    } catch (error) {
      const { code, message } = toMirumojiError(error);
      return `${code}: ${message}`;
    }
  };
}

/** Fails when the folder's disk has less free space. */
export function diskHealth(folder: string, minFreeBytes: number): HealthCheck {
  return async () => {
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    if (free >= minFreeBytes) return null;
    return `${mebibytes(free)} MiB free in the media root, ${mebibytes(minFreeBytes)} MiB are wanted`;
  };
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}

/** Asks again only when the last answer is old; a problem is asked about every time. */
function remembered(check: HealthCheck, ms: number): HealthCheck {
  let fineUntil = 0;
  return async () => {
    if (performance.now() < fineUntil) return null;
    const problem = await check();
    if (problem === null) fineUntil = performance.now() + ms;
    return problem;
  };
}
