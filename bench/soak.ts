import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbeddedRedis } from "../src/cli/embedded-redis.ts";
import { connectRedis, type RedisConnection } from "../src/queue/connection.ts";
import { Consumer } from "../src/queue/consumer.ts";
import { closeQueues, openQueues, type Queues } from "../src/queue/queues.ts";
import { runJob } from "../src/runner/run-job.ts";
import { instantTools } from "../support/instant-tools.ts";

const CONCURRENCY = 8;
const PREFIX = "{soak}";

/** State after a piece of the jobs. */
export interface SoakRow {
  /** Jobs that have ended since the start. */
  readonly jobs: number;
  readonly jobsPerSecond: number;
  readonly rssMiB: number;
  /** After a garbage collection where Node was started with `--expose-gc`. */
  readonly heapMiB: number;
  readonly fileDescriptors: number;
  readonly redisMiB: number;
  readonly redisKeys: number;
  readonly aofMiB: number;
  readonly aofRewrites: number;
}

export interface Soak {
  readonly rows: readonly SoakRow[];
  readonly started: number;
  readonly ended: number;
  /** Jobs that ended more than once. */
  readonly endedTwice: number;
  readonly consumers: number;
  /** Events that a job emits, and their bytes as lines of JSON; the log at `info` has some of them. */
  readonly eventsPerJob: { readonly lines: number; readonly bytes: number };
  /** Growth of the heap over the second half, in bytes per job. */
  readonly heapBytesPerJob: number;
}

/**
 * Runs no-op jobs in pieces through the machine on a real Redis with an append-only file, each piece with a
 * consumer of its own, and looks at what grows. Retention keeps 10,000 finished jobs, so measure more than that.
 */
export async function measureSoak(size: { readonly jobs: number; readonly pieces: number }): Promise<Soak> {
  const folder = await mkdtemp(join(tmpdir(), "mirumoji-soak-"));
  const server = await startEmbeddedRedis({ folder });
  const redis = connectRedis(server.url);
  const queues = openQueues(redis, PREFIX);
  const rows: SoakRow[] = [];
  const log = { lines: 0, bytes: 0 };
  const ends = new Map<string, number>();
  const perPiece = Math.ceil(size.jobs / size.pieces);
  try {
    // As production does after a while; at 100 % Redis would wait for 64 MiB.
    await redis.config("SET", "auto-aof-rewrite-min-size", "8mb");
    for (let piece = 1; piece <= size.pieces; piece += 1) {
      await fill(queues, perPiece);
      const startedAt = performance.now();
      await runPiece({ redis, queues, jobs: perPiece, ends, log });
      const seconds = (performance.now() - startedAt) / 1000;
      rows.push(await look({ redis, folder, jobs: piece * perPiece, jobsPerSecond: perPiece / seconds }));
    }
    const [middle, last] = [rows[Math.floor(rows.length / 2)], rows.at(-1)];
    if (middle === undefined || last === undefined) throw new RangeError("nothing was measured");
    const counts = [...ends.values()];
    return {
      rows,
      started: perPiece * size.pieces,
      ended: counts.length,
      endedTwice: counts.filter((count) => count > 1).length,
      consumers: size.pieces,
      eventsPerJob: { lines: log.lines / counts.length, bytes: Math.round(log.bytes / counts.length) },
      heapBytesPerJob: Math.round(((last.heapMiB - middle.heapMiB) * 2 ** 20) / (last.jobs - middle.jobs)),
    };
  } finally {
    await closeQueues(queues);
    redis.disconnect();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function fill({ convert }: Queues, jobs: number): Promise<void> {
  await convert.addBulk(
    // An output is claimed by one job at a time.
    Array.from({ length: jobs }, (_, index) => ({
      name: convert.name,
      data: { v: 1, input: `film-${index}.mkv` },
    })),
  );
}

async function runPiece(options: {
  readonly redis: RedisConnection;
  readonly queues: Queues;
  readonly jobs: number;
  readonly ends: Map<string, number>;
  readonly log: { lines: number; bytes: number };
}): Promise<void> {
  const { redis, queues, ends, log } = options;
  const tools = {
    ...instantTools(),
    emit: (event: string, fields: object) => {
      log.lines += 1;
      log.bytes += JSON.stringify({ level: 30, time: Date.now(), event, ...fields }).length + 1;
    },
  };
  let left = options.jobs;
  await new Promise<void>((resolve, reject) => {
    const consumer = new Consumer({
      queue: queues.convert,
      redis,
      prefix: PREFIX,
      concurrency: CONCURRENCY,
      leaseMs: 15_000,
      stalledIntervalMs: 5000,
      now: Date.now,
      onError: reject,
      handle: async (delivery) => {
        const result = await runJob(delivery, tools);
        if (result.kind !== "completed") reject(new Error(`job ${delivery.jobId} ended as ${result.kind}`));
        ends.set(delivery.jobId, (ends.get(delivery.jobId) ?? 0) + 1);
        left -= 1;
        if (left === 0) setImmediate(() => void consumer.stop().then(resolve, reject));
        return result;
      },
    });
  });
}

async function look(options: {
  readonly redis: RedisConnection;
  readonly folder: string;
  readonly jobs: number;
  readonly jobsPerSecond: number;
}): Promise<SoakRow> {
  const { redis, folder, jobs, jobsPerSecond } = options;
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  const info = await redis.info("all");
  const field = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, "mu").exec(info)?.[1] ?? 0);
  return {
    jobs,
    jobsPerSecond: Math.round(jobsPerSecond),
    rssMiB: mebibytes(rss),
    heapMiB: mebibytes(heapUsed),
    fileDescriptors: (await readdir("/proc/self/fd")).length,
    redisMiB: mebibytes(field("used_memory")),
    redisKeys: await redis.dbsize(),
    aofMiB: mebibytes(await sizeOf(folder)),
    aofRewrites: field("aof_rewrites"),
  };
}

async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  // A rewrite may remove a file meanwhile.
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map(async (entry) => (await stat(join(entry.parentPath, entry.name)).catch(() => ({ size: 0 }))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

function mebibytes(bytes: number): number {
  return Number((bytes / 2 ** 20).toFixed(1));
}

/** For people. */
export function soakTable({ rows }: Soak): Record<string, string | number>[] {
  return rows.map((row) => ({
    jobs: row.jobs,
    "jobs/s": row.jobsPerSecond,
    "RSS MiB": row.rssMiB,
    "heap MiB": row.heapMiB,
    "open files": row.fileDescriptors,
    "Redis MiB": row.redisMiB,
    "Redis keys": row.redisKeys,
    "AOF MiB": row.aofMiB,
    "AOF rewrites": row.aofRewrites,
  }));
}
