import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Job, type Queue, Worker } from "bullmq";
import { connectRedis, type RedisConnection } from "../src/queue/connection.ts";
import { startEmbeddedRedis } from "../src/cli/embedded-redis.ts";
import { Consumer } from "../src/queue/consumer.ts";
import { closeQueues, openQueues, type Queues } from "../src/queue/queues.ts";
import { runJob } from "../src/runner/run-job.ts";
import { instantTools } from "../support/instant-tools.ts";
import { measureRoundTrips, type RoundTrips } from "./round-trips.ts";
import { shown, type Spread, spreadOf } from "./rounds.ts";

/**
 * Lanes: the machine; BullMQ alone, writing the job's data as often as the machine commits; BullMQ writing
 * everything a commit writes (data, progress and a log line); and BullMQ writing nothing.
 */
const WAYS = [
  "machine",
  "BullMQ, 5 writes of data",
  "BullMQ, 5 writes of data, progress, log",
  "BullMQ, empty",
] as const;
type Way = (typeof WAYS)[number];

export interface QueueRow {
  readonly way: Way;
  /** Jobs still waiting when the round ends. */
  readonly waiting: number;
  readonly jobsPerSecond: Spread;
  /** Processor time of this process, which is the worker and nothing else. */
  readonly cpuMsPerJob: Spread;
  readonly redisCpuMsPerJob: Spread;
}

export interface QueueBench {
  readonly rows: readonly QueueRow[];
  /** Time of a job in the machine against BullMQ that writes its data as often, each pair taken in one round. */
  readonly againstAsManyWrites: Spread;
  /** Time against BullMQ that writes everything a commit writes. */
  readonly againstSameWrites: Spread;
  /** The machine's throughput with the most jobs waiting against that with the fewest, pair by pair. */
  readonly deepAgainstShallow: Spread;
  readonly roundTrips: RoundTrips;
}

/** As many jobs at a time as a worker has by default, of one type. */
const CONCURRENCY = 4;
/** A job on a busy worker: volume, upload, call, result, outputs. */
const WRITES = 5;
const ADDED_AT_ONCE = 5000;

/**
 * The machine with all Modal work replaced by resolved promises, on a real Redis, in turns with BullMQ alone,
 * at several lengths of the queue.
 */
export async function measureQueue(size: {
  readonly rounds: number;
  /** Of one round. */
  readonly jobs: number;
  readonly waiting: readonly [number, number];
}): Promise<QueueBench> {
  const folder = await mkdtemp(join(tmpdir(), "mirumoji-bench-"));
  const server = await startEmbeddedRedis({ folder });
  const redis = connectRedis(server.url);
  try {
    const lanes = size.waiting.flatMap((waiting) =>
      WAYS.map((way) => {
        const prefix = `{bench-${waiting}-${WAYS.indexOf(way)}}`;
        const rounds: Round[] = [];
        return { way, waiting, prefix, queues: openQueues(redis, prefix), rounds };
      }),
    );
    for (const { queues, waiting } of lanes) await fillUp(queues.convert, waiting);
    // Round 0 warms up.
    for (let round = 0; round <= size.rounds; round += 1) {
      // Each round begins with another lane, so that neighbours vary.
      for (const at of lanes.keys()) {
        const lane = lanes[(at + round) % lanes.length];
        if (lane === undefined) continue;
        await fillUp(lane.queues.convert, lane.waiting + size.jobs);
        const measured = await runRound(redis, lane, size.jobs);
        if (round > 0) lane.rounds.push(measured);
      }
    }
    for (const { queues } of lanes) await closeQueues(queues);
    const secondsOf = (way: Way, waiting: number) =>
      lanes
        .find((lane) => lane.way === way && lane.waiting === waiting)
        ?.rounds.map(({ seconds }) => seconds) ?? [];
    const [shallow, deep] = size.waiting;
    return {
      rows: lanes.map(({ way, waiting, rounds }) => rowOf(way, waiting, rounds, size.jobs)),
      againstAsManyWrites: ratios(secondsOf("machine", shallow), secondsOf(WAYS[1], shallow)),
      againstSameWrites: ratios(secondsOf("machine", shallow), secondsOf(WAYS[2], shallow)),
      deepAgainstShallow: ratios(secondsOf("machine", shallow), secondsOf("machine", deep)),
      roundTrips: await measureRoundTrips(300),
    };
  } finally {
    redis.disconnect();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

interface Lane {
  readonly way: Way;
  readonly prefix: string;
  readonly queues: Queues;
}

interface Round {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly redisCpuSeconds: number;
}

/** Works on the queue until `jobs` of it are done. */
async function runRound(redis: RedisConnection, lane: Lane, jobs: number): Promise<Round> {
  const redisCpu = await redisCpuSeconds(redis);
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  await (lane.way === "machine" ? runMachine(redis, lane, jobs) : runBare(redis, lane, jobs));
  const seconds = (performance.now() - startedAt) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return {
    seconds,
    cpuSeconds: (user + system) / 1e6,
    redisCpuSeconds: (await redisCpuSeconds(redis)) - redisCpu,
  };
}

async function runMachine(redis: RedisConnection, { queues, prefix }: Lane, jobs: number): Promise<void> {
  const tools = instantTools();
  let left = jobs;
  await new Promise<void>((resolve, reject) => {
    const consumer = new Consumer({
      queue: queues.convert,
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
        if (result.kind !== "completed" && left > 0) {
          reject(new Error(`job ${delivery.jobId} ended as ${result.kind}`));
        }
        // Jobs beyond the last one are handed back.
        if (left === 0) setImmediate(() => void consumer.stop().then(resolve, reject));
        return result;
      },
    });
  });
}

async function runBare(redis: RedisConnection, { queues, prefix, way }: Lane, jobs: number): Promise<void> {
  const writes = way === "BullMQ, empty" ? 0 : WRITES;
  const writesAll = way === WAYS[2];
  let left = jobs;
  await new Promise<void>((resolve, reject) => {
    const worker = new Worker(
      queues.convert.name,
      async (job: Job) => {
        for (let step = 0; step < writes; step += 1) {
          const data = checkpointLike(job, step);
          // Sent together: one round trip, but three commands.
          const others = writesAll
            ? [job.updateProgress(data), job.log(`${new Date().toISOString()} ${step}`)]
            : [];
          await Promise.all([job.updateData(data), ...others]);
        }
        left -= 1;
        if (left === 0) setImmediate(() => void worker.close().then(resolve, reject));
        return job.data as unknown;
      },
      { connection: redis, prefix, concurrency: CONCURRENCY, lockDuration: 15_000, stalledInterval: 5000 },
    );
    worker.on("error", reject);
  });
}

/** The facts of a job in the machine, as somebody would keep them in a job's data. */
function checkpointLike(job: Job, step: number): object {
  const { input } = job.data as { input: string };
  const all = {
    volumeId: `vo-${job.id}`,
    remotePath: `${job.id}/${input}`,
    inputBytes: 1,
    sentBytes: 1,
    callId: `fc-${job.id}`,
    callOpenedAt: Date.now(),
    appId: "ap-1",
    result: { path: "o", engine: "none", mediaSeconds: 1, gpuSeconds: 1, warnings: [] },
    outputs: [{ path: "film.mp4", format: "mp4", bytes: 1, sha256: "0".repeat(64) }],
  };
  const facts = Object.fromEntries(Object.entries(all).slice(0, 2 * step + 1));
  return { v: 1, input, state: step, attempt: 1, startedAt: Date.now(), enteredAt: Date.now(), facts };
}

/** Adds jobs until so many wait. */
async function fillUp(queue: Queue, waiting: number): Promise<void> {
  for (;;) {
    const missing = waiting - (await queue.getJobCountByTypes("waiting", "prioritized"));
    if (missing <= 0) return;
    await queue.addBulk(
      // An output is claimed by one job at a time.
      Array.from({ length: Math.min(missing, ADDED_AT_ONCE) }, (_, index) => ({
        name: queue.name,
        data: { v: 1, input: `film-${index}.mkv` },
      })),
    );
  }
}

async function redisCpuSeconds(redis: RedisConnection): Promise<number> {
  const info = await redis.info("cpu");
  const field = (name: string) => Number(new RegExp(`^${name}:([\\d.]+)`, "mu").exec(info)?.[1]);
  return field("used_cpu_user") + field("used_cpu_sys");
}

function rowOf(way: Way, waiting: number, rounds: readonly Round[], jobs: number): QueueRow {
  return {
    way,
    waiting,
    jobsPerSecond: spreadOf(rounds.map(({ seconds }) => jobs / seconds)),
    cpuMsPerJob: spreadOf(rounds.map(({ cpuSeconds }) => (cpuSeconds * 1000) / jobs)),
    redisCpuMsPerJob: spreadOf(rounds.map((round) => (round.redisCpuSeconds * 1000) / jobs)),
  };
}

function ratios(of: readonly number[], to: readonly number[]): Spread {
  return spreadOf(of.map((value, round) => value / (to[round] ?? Number.NaN)));
}

/** For people. */
export function queueTable({ rows }: QueueBench): Record<string, string | number>[] {
  return rows.map((row) => ({
    way: row.way,
    waiting: row.waiting,
    "jobs/s": shown(row.jobsPerSecond),
    "worker CPU ms/job": shown(row.cpuMsPerJob),
    "Redis CPU ms/job": shown(row.redisCpuMsPerJob),
  }));
}
