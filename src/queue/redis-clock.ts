import type { Redis } from "ioredis";

/** The clock of Redis, as far as a connection knows it: times that others read are those of one clock. */
export interface RedisClock {
  /** Epoch milliseconds. Before `ready` it is this machine's own clock. */
  now(): number;
  /** Waits until Redis was asked at least once. */
  ready(): Promise<void>;
}

/** How long an answer counts; clocks drift by some milliseconds in that time. */
const KEPT_MS = 60_000;
/** A change of this machine's own clock against its steady one, by which it was set or slept. */
const STEP_MS = 500;

const clocks = new WeakMap<Redis, RedisClock>();

/** The one clock of a connection. It keeps going on this machine's steady clock, which nobody sets, between answers. */
export function redisClock(redis: Redis): RedisClock {
  const known = clocks.get(redis);
  if (known !== undefined) return known;
  const clock = openClock(async () => {
    const [seconds, micros] = await redis.time();
    return Number(seconds) * 1000 + Number(micros) / 1000;
  });
  clocks.set(redis, clock);
  return clock;
}

/** A clock that `ask` sets. */
export function openClock(ask: () => Promise<number>): RedisClock {
  /** Lack of the steady clock, and lead of this machine's own one over it, when last asked. */
  let known: { readonly behindMs: number; readonly stepMs: number; readonly askedAt: number } | null = null;
  let asking: Promise<void> | null = null;
  const step = () => Date.now() - performance.now();
  const askAnew = async (): Promise<void> => {
    asking ??= (async () => {
      const sentAt = performance.now();
      const time = await ask();
      const gotAt = performance.now();
      known = { behindMs: time - (sentAt + gotAt) / 2, stepMs: step(), askedAt: gotAt };
    })().finally(() => {
      asking = null;
    });
    await asking;
  };
  return {
    now() {
      if (known === null) {
        void askAnew().catch(() => undefined);
        return Date.now();
      }
      const isOld = performance.now() - known.askedAt > KEPT_MS;
      // Without an answer the old one goes on being used.
      if (isOld || Math.abs(step() - known.stepMs) > STEP_MS) void askAnew().catch(() => undefined);
      return Math.round(performance.now() + known.behindMs);
    },
    async ready() {
      if (known === null) await askAnew();
    },
  };
}
