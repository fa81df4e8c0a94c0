import { Gauge, type Registry } from "prom-client";
import { oneOf, PAUSE_CODES, QUEUE_STATES } from "./labels.ts";

/** State of one queue in Redis. */
export interface QueueState {
  readonly queue: string;
  /** Number of jobs by BullMQ state. */
  readonly jobs: Readonly<Record<string, number>>;
  /** Age of the job that has waited longest, or 0. */
  readonly oldestWaitingSeconds: number;
  readonly isPaused: boolean;
  /** Connected workers. */
  readonly workers: number;
}

/** Pool-wide state, which every process reads from Redis. */
export interface PoolState {
  readonly queues: readonly QueueState[];
  /** Code of the reason why no worker takes jobs, or null. */
  readonly pausedFor: string | null;
  /** Jobs of the tenants with the most of them, and of all others. */
  readonly tenants: readonly {
    readonly tenant: string;
    readonly waiting: number;
    readonly running: number;
  }[];
  readonly liveVolumes: number;
  /** Those among them whose entries in the ledger cannot be read. */
  readonly unreadableVolumes: number;
  /** Age of the oldest live volume, or 0. */
  readonly oldestVolumeSeconds: number;
  /** Webhook events that are not delivered yet, those that were given up, and the age of the oldest, or 0. */
  readonly webhooksPending: number;
  readonly webhooksDead: number;
  readonly oldestWebhookSeconds: number;
  readonly redisUsedBytes: number;
  /** 0 means no limit. */
  readonly redisLimitBytes: number;
}

/** Timeout for Redis during a scrape, well below Prometheus's own 10 s. */
const TIMEOUT_MS = 2000;

/**
 * Reads the pool's state on every scrape, once for all gauges and never twice at a time, so that a hanging
 * Redis gets no growing load. Without an answer in time the gauges are omitted and `mirumoji_redis_up` is 0,
 * so that no stale figures are shown.
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
  add("pool_paused", "1 when the whole pool takes no jobs, by reason.", ["reason"], (gauge, found) => {
    for (const reason of PAUSE_CODES) gauge.set({ reason }, found.pausedFor === reason ? 1 : 0);
  });
  add(
    "tenant_jobs",
    "Jobs of the ten tenants with the most of them, and of all others.",
    ["tenant", "state"],
    (gauge, { tenants }) => {
      for (const { tenant, waiting, running } of tenants) {
        gauge.inc({ tenant, state: "waiting" }, waiting);
        gauge.inc({ tenant, state: "running" }, running);
      }
    },
  );
  add("live_volumes", "Volumes in the ledger: those of running jobs, and leaks.", [], (gauge, found) =>
    gauge.set(found.liveVolumes),
  );
  add(
    "live_volumes_unreadable",
    "Volumes whose entries in the ledger cannot be read; they are kept alive until somebody looks.",
    [],
    (gauge, found) => gauge.set(found.unreadableVolumes),
  );
  add(
    "live_volume_oldest_age_seconds",
    "Age of the oldest volume in the ledger; 0 without one.",
    [],
    (gauge, found) => gauge.set(found.oldestVolumeSeconds),
  );
  add("webhooks_pending", "Webhook events that are not delivered yet.", [], (gauge, found) =>
    gauge.set(found.webhooksPending),
  );
  add("webhooks_dead", "Webhook events that were given up and not replayed.", [], (gauge, found) =>
    gauge.set(found.webhooksDead),
  );
  add(
    "webhook_oldest_age_seconds",
    "Age of the oldest webhook event that is not delivered yet; 0 without one.",
    [],
    (gauge, found) => gauge.set(found.oldestWebhookSeconds),
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

/** Shares one reading between concurrent callers; null when it fails or takes too long. */
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
