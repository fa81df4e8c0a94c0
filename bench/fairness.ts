import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Job, type Queue, Worker } from "bullmq";
import { startEmbeddedRedis } from "../src/cli/embedded-redis.ts";
import { connectRedis, type RedisConnection } from "../src/queue/connection.ts";
import { Consumer } from "../src/queue/consumer.ts";
import { closeQueues, openQueues } from "../src/queue/queues.ts";
import { runJob } from "../src/runner/run-job.ts";
import { instantTools } from "../support/instant-tools.ts";
import { rounded, shown, type Spread, spreadOf } from "./rounds.ts";

/** Lanes: BullMQ alone; BullMQ with one priority that is computed at submit; and our turns. */
const WAYS = ["first come, first served", "priority at submit", "turns"] as const;
type Way = (typeof WAYS)[number];

/** Jobs that cost nothing, and those of the state machine with all Modal work left out. */
const KINDS = ["empty", "machine"] as const;

const SIZE = { tenants: 10_000, flood: 90_000, small: 10_000 };
const CONCURRENCY = 4;
const ADDED_AT_ONCE = 5000;

export interface FairnessBench {
  readonly rows: readonly {
    readonly way: Way;
    /** Milliseconds that a job of a small tenant waited beside the flood. */
    readonly p50: number;
    readonly p99: number;
    /** Milliseconds that one add took, in bulk. */
    readonly addMs: number;
  }[];
  /** Time of jobs with turns against first come, first served, each pair taken in one round. */
  readonly emptyJobs: Spread;
  readonly machineJobs: Spread;
  /** The same of Redis' processor time alone. */
  readonly machineRedis: Spread;
  /** Redis' processor time in milliseconds. */
  readonly redisMsPerJob: Record<string, Spread>;
}

interface Lane {
  readonly way: Way;
  readonly redis: RedisConnection;
  readonly prefix: string;
  readonly queue: Queue;
  /** Number that BullMQ sorts by, for a job that comes now; and what to do when one begins. */
  readonly priorityOf: (tenant: string) => number | undefined;
  readonly began: (job: Job) => void;
}

/** A flood of one tenant beside 9,999 small ones: how long these wait, and what it costs. */
export async function measureFairness(rounds: number, jobs: number): Promise<FairnessBench> {
  const folder = await mkdtemp(join(tmpdir(), "mirumoji-bench-"));
  const server = await startEmbeddedRedis({ folder });
  const ours = connectRedis(server.url);
  const plain = connectRedis(server.url);
  // Without our wrapper BullMQ's own scripts are used as they are.
  Reflect.deleteProperty(plain, "defineCommand");
  try {
    const waits: FairnessBench["rows"][number][] = [];
    for (const way of WAYS) {
      const lane = openLane(way, way === "turns" ? ours : plain, "{waits}");
      waits.push(await measureWaits(lane));
      await lane.queue.obliterate({ force: true });
      await lane.queue.close();
      await ours.flushall();
    }
    const lanes = [openLane("first come, first served", plain, "{fifo}"), openLane("turns", ours, "{turns}")];
    const taken: Record<string, Round[]> = {};
    for (const lane of lanes) await addJobs(lane, mixed(SIZE.flood + SIZE.small));
    // Round 0 warms up.
    for (let round = 0; round <= rounds; round += 1) {
      const inTurn = round % 2 === 0 ? lanes : lanes.toReversed();
      for (const [kind, lane] of KINDS.flatMap((each) => inTurn.map((one) => [each, one] as const))) {
        const found = await drain(lane, kind, jobs);
        await addJobs(lane, mixed(jobs));
        if (round > 0) (taken[`${kind}, ${lane.way}`] ??= []).push(found);
      }
    }
    const ratio = (kind: string, of: keyof Round = "seconds") => {
      const [fifo = [], turns = []] = [taken[`${kind}, ${WAYS[0]}`], taken[`${kind}, turns`]];
      return spreadOf(turns.map((round, at) => round[of] / (fifo[at]?.[of] ?? Number.NaN)));
    };
    return {
      rows: waits,
      emptyJobs: ratio("empty"),
      machineJobs: ratio("machine"),
      machineRedis: ratio("machine", "redisMs"),
      redisMsPerJob: Object.fromEntries(
        Object.entries(taken).map(([name, found]) => [name, spreadOf(found.map(({ redisMs }) => redisMs))]),
      ),
    };
  } finally {
    ours.disconnect();
    plain.disconnect();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

function openLane(way: Way, redis: RedisConnection, prefix: string): Lane {
  const queues = openQueues(redis, prefix);
  void closeQueues({ ...queues, convert: queues.transcribe });
  const lane = { way, redis, prefix, queue: queues.convert };
  if (way !== "priority at submit") return { ...lane, priorityOf: () => undefined, began: () => undefined };
  // The best case of such a design: all producers and workers share their figures without asking Redis.
  const finish = new Map<string, number>();
  let clock = 1;
  return {
    ...lane,
    priorityOf(tenant) {
      const start = Math.max(clock, finish.get(tenant) ?? 0);
      finish.set(tenant, start + 1);
      return start;
    },
    began: (job) => {
      clock = Math.max(clock, job.priority);
    },
  };
}

/** Jobs in a mix: nine of ten are of one tenant. */
function mixed(count: number): string[] {
  return Array.from({ length: count }, (_, n) => (n % 10 === 0 ? `small-${n % SIZE.tenants}` : "flood"));
}

async function addJobs({ queue, priorityOf }: Lane, tenants: readonly string[]): Promise<void> {
  for (let at = 0; at < tenants.length; at += ADDED_AT_ONCE) {
    const jobs = tenants.slice(at, at + ADDED_AT_ONCE).map((tenant, index) => {
      const priority = priorityOf(tenant);
      const data = { v: 1, input: `film-${at + index}.mkv`, tenant };
      return { name: queue.name, data, ...(priority === undefined ? {} : { opts: { priority } }) };
    });
    await queue.addBulk(jobs);
  }
}

/** A flood waits; small tenants come one after the other while it is worked on. */
async function measureWaits(lane: Lane): Promise<FairnessBench["rows"][number]> {
  const addedAt = performance.now();
  await addJobs(
    lane,
    Array.from({ length: SIZE.flood }, () => "flood"),
  );
  const addMs = (performance.now() - addedAt) / SIZE.flood;
  const came = new Map<string, number>();
  const waits: number[] = [];
  const worker = new Worker(
    lane.queue.name,
    async (job: Job) => {
      lane.began(job);
      const { tenant } = job.data as { tenant: string };
      const at = came.get(job.id ?? "");
      if (tenant !== "flood" && at !== undefined) waits.push(performance.now() - at);
      await Promise.resolve();
    },
    { connection: lane.redis, prefix: lane.prefix, concurrency: CONCURRENCY },
  );
  for (let n = 0; n < SIZE.small; n += 1) {
    const tenant = `small-${n % (SIZE.tenants - 1)}`;
    const priority = lane.priorityOf(tenant);
    const jobId = `job-${n}`;
    came.set(jobId, performance.now());
    const options = { jobId, ...(priority === undefined ? {} : { priority }) };
    await lane.queue.add(lane.queue.name, { v: 1, input: "film.mkv", tenant }, options);
    if (n % 10 === 0) await sleep(5);
  }
  while (waits.length < SIZE.small) await sleep(20);
  await worker.close();
  const sorted = waits.toSorted((a, b) => a - b);
  const at = (share: number) => rounded(sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN);
  return { way: lane.way, p50: at(0.5), p99: at(0.99), addMs: rounded(addMs) };
}

interface Round {
  readonly seconds: number;
  readonly redisMs: number;
}

/** Works on the queue until `jobs` of it are done. */
async function drain(lane: Lane, kind: "empty" | "machine", jobs: number): Promise<Round> {
  const cpu = await redisCpuMs(lane.redis);
  const startedAt = performance.now();
  await (kind === "empty" ? drainEmpty(lane, jobs) : drainMachine(lane, jobs));
  const seconds = (performance.now() - startedAt) / 1000;
  return { seconds, redisMs: ((await redisCpuMs(lane.redis)) - cpu) / jobs };
}

async function drainEmpty({ queue, redis, prefix }: Lane, jobs: number): Promise<void> {
  let left = jobs;
  await new Promise<void>((resolve, reject) => {
    const worker = new Worker(
      queue.name,
      async () => {
        left -= 1;
        if (left === 0) setImmediate(() => void worker.close().then(resolve, reject));
        await Promise.resolve();
      },
      { connection: redis, prefix, concurrency: CONCURRENCY },
    );
    worker.on("error", reject);
  });
}

async function drainMachine({ queue, redis, prefix }: Lane, jobs: number): Promise<void> {
  const tools = instantTools();
  let left = jobs;
  await new Promise<void>((resolve, reject) => {
    const consumer = new Consumer({
      queue,
      redis,
      prefix,
      concurrency: CONCURRENCY,
      leaseMs: 15_000,
      stalledIntervalMs: 5000,
      now: Date.now,
      onError: reject,
      handle: async (delivery) => {
        const result = await runJob(delivery, tools);
        left -= 1;
        if (left === 0) setImmediate(() => void consumer.stop().then(resolve, reject));
        return result;
      },
    });
  });
}

async function redisCpuMs(redis: RedisConnection): Promise<number> {
  const info = await redis.info("cpu");
  const field = (name: string) => Number(new RegExp(`^${name}:([\\d.]+)`, "mu").exec(info)?.[1]);
  return (field("used_cpu_user") + field("used_cpu_sys")) * 1000;
}

/** For people. */
export function fairnessTable({ rows }: FairnessBench): Record<string, string | number>[] {
  return rows.map(({ way, p50, p99, addMs }) => ({
    way,
    "small tenant waits p50 ms": p50,
    "p99 ms": p99,
    "one add ms": addMs,
  }));
}

/** Figures in words. */
export function fairnessValues(found: FairnessBench): Record<string, unknown> {
  const perJob = Object.entries(found.redisMsPerJob);
  return {
    "time, empty jobs": shown(found.emptyJobs),
    "time, machine": shown(found.machineJobs),
    "Redis time, machine": shown(found.machineRedis),
    ...Object.fromEntries(perJob.map(([name, of]) => [`Redis ms, ${name}`, shown(of)])),
  };
}
