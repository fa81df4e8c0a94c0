import { Gauge, type Registry } from "prom-client";
import { oneOf, QUEUE_STATES } from "./labels.ts";

/** One queue as Redis has it. */
export interface QueueState {
  readonly queue: string;
  /** By BullMQ state. */
  readonly jobs: Readonly<Record<string, number>>;
  /** Age of the job that waits longest, or 0. */
  readonly oldestWaitingSeconds: number;
  readonly isPaused: boolean;
  /** Workers that are connected to Redis for it. */
  readonly workers: number;
}

/** What every process that reaches Redis can say about the whole pool. */
export interface PoolState {
  readonly queues: readonly QueueState[];
  readonly liveVolumes: number;
  /** Age of the oldest live volume, or 0. */
  readonly oldestVolumeSeconds: number;
  readonly redisUsedBytes: number;
  /** 0 is no limit. */
  readonly redisLimitBytes: number;
}

/** A scrape waits this long for Redis, well below Prometheus's own 10 s. */
const TIMEOUT_MS = 2000;

/**
 * Reads the pool's state on every scrape, once for all gauges, and never with two readings under way: a
 * Redis that hangs must not be asked more and more. Without an answer in time the gauges are left out and
 * `mirumoji_redis_up` is 0, so that nobody sees old figures.
 */
export function collectPool(
  registry: Registry,
  read: () => Promise<PoolState>,
  timeoutMs = TIMEOUT_MS,
): void {
  const state = sharedReading(read, timeoutMs);
  const add = (
    name: string,
    help: string,
    labelNames: readonly string[],
    set: (gauge: Gauge, state: PoolState) => void,
  ) => {
    new Gauge({
      name: `mirumoji_${name}`,
      help,
      labelNames: [...labelNames],
      registers: [registry],
      async collect() {
        const found = await state();
        this.reset();
        if (labelNames.length === 0) this.remove();
        if (found !== null) set(this, found);
      },
    });
  };
  const perQueue = (name: string, help: string, value: (queue: QueueState) => number) => {
    add(name, help, ["queue"], (gauge, { queues }) => {
      for (const queue of queues) gauge.set({ queue: queue.queue }, value(queue));
    });
  };
  add("queue_jobs", "Jobs by queue and BullMQ state.", ["queue", "state"], (gauge, { queues }) => {
    for (const { queue, jobs } of queues) {
      for (const [name, count] of Object.entries(jobs)) {
        gauge.set({ queue, state: oneOf(QUEUE_STATES, name) }, count);
      }
    }
  });
  perQueue(
    "queue_oldest_waiting_age_seconds",
    "How long ago the first job in line was submitted; 0 when none waits.",
    ({ oldestWaitingSeconds }) => oldestWaitingSeconds,
  );
  perQueue("queue_paused", "1 when an operator paused the queue.", ({ isPaused }) => (isPaused ? 1 : 0));
  perQueue("workers", "Workers that are connected to Redis, by queue.", ({ workers }) => workers);
  add("live_volumes", "Volumes in the ledger: those of running jobs, and leaks.", [], (gauge, found) =>
    gauge.set(found.liveVolumes),
  );
  add(
    "live_volume_oldest_age_seconds",
    "Age of the oldest volume in the ledger; 0 without one.",
    [],
    (gauge, found) => gauge.set(found.oldestVolumeSeconds),
  );
  add("redis_memory_used_bytes", "Memory that Redis uses.", [], (gauge, found) =>
    gauge.set(found.redisUsedBytes),
  );
  add("redis_memory_limit_bytes", "Redis's maxmemory; 0 is no limit.", [], (gauge, found) =>
    gauge.set(found.redisLimitBytes),
  );
  new Gauge({
    name: "mirumoji_redis_up",
    help: "1 when Redis answered this scrape in time.",
    registers: [registry],
    async collect() {
      this.set((await state()) === null ? 0 : 1);
    },
  });
}

/** One reading for everybody who asks while it runs; null when it fails or takes too long. */
function sharedReading(read: () => Promise<PoolState>, timeoutMs: number): () => Promise<PoolState | null> {
  let current: Promise<PoolState | null> | null = null;
  return async () => {
    if (current === null) {
      const mine = read().catch(() => null);
      current = mine;
      void mine.finally(() => {
        current = null;
      });
    }
    return await orNull(current, timeoutMs);
  };
}

async function orNull<T>(promise: Promise<T>, timeoutMs: number): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
