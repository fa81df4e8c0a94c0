import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startEmbeddedRedis } from "../src/cli/embedded-redis.ts";
import { startGpuHost } from "../src/gpu-host/host.ts";
import { connectRedis, type RedisConnection } from "../src/queue/connection.ts";
import { type EmbeddedWorker, startWorker } from "../src/worker.ts";

const SETTLE_MS = 60_000;
const IDLE_SECONDS = 20;
const AT_ONCE = 3;

export interface Crowd {
  readonly workers: number;
  readonly connections: number;
  /** While one of them registered the functions and the others waited for it. */
  readonly registering: { readonly seconds: number; readonly commandsPerSecond: number };
  readonly redisMiB: number;
  /** Of this process, with all workers in it. */
  readonly rssMiBPerWorker: number;
  readonly idleCommandsPerSecond: number;
  readonly idleRedisCpuPercent: number;
  /** Most frequent commands of the idle pool, per second. */
  readonly idleMostFrequent: Readonly<Record<string, number>>;
  /** After every connection was cut at once: the most commands in a second, and when all were back. */
  readonly herdCommandsPerSecond: number;
  readonly herdSecondsToAllBack: number;
}

/** Counts what many whole workers ask of one Redis: idle, and after it dropped every connection at once. */
export async function measureCrowd(workers: number): Promise<Crowd> {
  const folder = await mkdtemp(join(tmpdir(), "mirumoji-crowd-"));
  const mediaRoot = join(folder, "media");
  await mkdir(mediaRoot);
  const server = await startEmbeddedRedis({ folder: join(folder, "redis") });
  const host = await startGpuHost({ dataDir: join(folder, "gpu-host") });
  const redis = connectRedis(server.url);
  const pool: EmbeddedWorker[] = [];
  const rssBefore = process.memoryUsage().rss;
  const variables = {
    REDIS_URL: server.url,
    HOST_MEDIA_PATH: mediaRoot,
    MODAL_SERVER_URL: host.serverUrl,
    MODAL_TOKEN_ID: host.tokenId,
    MODAL_TOKEN_SECRET: host.tokenSecret,
    MIRUMOJI_LOGGING_LEVEL: "silent",
  };
  try {
    while (pool.length < workers) {
      const missing = Math.min(AT_ONCE, workers - pool.length);
      pool.push(
        ...(await Promise.all(Array.from({ length: missing }, async () => await startWorker(variables)))),
      );
    }
    const registering = await registered(redis);
    // The others take up the registration one after the other.
    await sleep(SETTLE_MS);
    const before = await sample(redis);
    await sleep(IDLE_SECONDS * 1000);
    const after = await sample(redis);
    const perSecond = (count: number) => Number((count / IDLE_SECONDS).toFixed(1));
    const frequent = [...after.commands]
      .map(([name, count]) => [name, perSecond(count - (before.commands.get(name) ?? 0))] as const)
      .toSorted(([, one], [, other]) => other - one)
      .slice(0, 6);
    return {
      workers,
      connections: after.connections,
      registering,
      redisMiB: Number((after.memory / 2 ** 20).toFixed(1)),
      rssMiBPerWorker: Number(((process.memoryUsage().rss - rssBefore) / 2 ** 20 / workers).toFixed(1)),
      idleCommandsPerSecond: perSecond(after.total - before.total),
      idleRedisCpuPercent: Number((((after.cpu - before.cpu) / IDLE_SECONDS) * 100).toFixed(1)),
      idleMostFrequent: Object.fromEntries(frequent),
      ...(await herd(redis, after.connections)),
    };
  } finally {
    await Promise.all(pool.map(async (worker) => await worker.stop()));
    redis.disconnect();
    await host.close();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function registered(redis: RedisConnection) {
  const startedAt = performance.now();
  const before = await sample(redis);
  while ((await redis.exists("{mirumoji}:app")) === 0) await sleep(500);
  const seconds = Math.max(0.5, (performance.now() - startedAt) / 1000);
  const commands = (await sample(redis)).total - before.total;
  return { seconds: Math.round(seconds), commandsPerSecond: Math.round(commands / seconds) };
}

async function herd(redis: RedisConnection, connections: number) {
  const startedAt = performance.now();
  await redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  let most = 0;
  let last = await sample(redis);
  for (let second = 0; second < 30; second += 1) {
    await sleep(1000);
    const now = await sample(redis);
    most = Math.max(most, now.total - last.total);
    last = now;
    if (now.connections >= connections) break;
  }
  return {
    herdCommandsPerSecond: most,
    herdSecondsToAllBack: Number(((performance.now() - startedAt) / 1000).toFixed(1)),
  };
}

async function sample(redis: RedisConnection) {
  const info = await redis.info("all");
  const field = (name: string) => Number(new RegExp(`^${name}:([\\d.]+)`, "mu").exec(info)?.[1] ?? 0);
  const commands = [...info.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gmu)].map(
    ([, name = "", calls]) => [name, Number(calls)] as const,
  );
  return {
    total: field("total_commands_processed"),
    connections: field("connected_clients"),
    memory: field("used_memory"),
    cpu: field("used_cpu_user") + field("used_cpu_sys"),
    commands: new Map(commands),
  };
}
