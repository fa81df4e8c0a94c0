import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { createParser } from "eventsource-parser";
import { startEmbeddedRedis } from "../src/cli/embedded-redis.ts";
import { createClient } from "../src/index.ts";
import type { JobView } from "../src/job/summary.ts";
import { openApiKeys } from "../src/queue/api-keys.ts";
import { connectRedis, type RedisConnection } from "../src/queue/connection.ts";
import { DEFAULT_PREFIX } from "../src/queue/keys.ts";
import { cleanEnvironment } from "../support/dev.ts";
import { programFile } from "../support/programs.ts";
import { cpuBetween, processCpu } from "./process-cpu.ts";
import { type Spread, spreadOf } from "./rounds.ts";

const IDLE_SECONDS = 20;
/** Jobs that end in a second: each is told to its wait, its own stream and the streams of all jobs. */
const ENDS_PER_SECOND = 40;

export interface Followers {
  readonly waits: number;
  readonly streams: number;
  readonly streamsOfAllJobs: number;
  readonly apiMiBBefore: number;
  readonly apiMiBFollowed: number;
  readonly idleApiCpuPercent: number;
  readonly idleRedisCpuPercent: number;
  readonly idleRedisCommandsPerSecond: number;
  readonly changesPerSecond: number;
  readonly busyApiCpuPercent: number;
  readonly busyRedisCpuPercent: number;
  readonly waitDelayMs: Delays;
  readonly streamDelayMs: Delays;
  readonly allStreamsDelayMs: Delays;
  readonly clientLoopDelayP99Ms: number;
}

interface Delays extends Spread {
  readonly p99: number;
}

/** Follows jobs in every way at once, over HTTP: waits of one client, a stream for each job, and streams of all jobs. */
export async function measureFollowers(size: {
  readonly jobs: number;
  readonly ofAll: number;
}): Promise<Followers> {
  const folder = await mkdtemp(join(tmpdir(), "mirumoji-followers-"));
  const server = await startEmbeddedRedis({ folder: join(folder, "redis") });
  const redis = connectRedis(server.url);
  const { secret } = await openApiKeys(redis, DEFAULT_PREFIX, Date.now).create({
    name: "bench",
    scopes: ["submit", "read", "operate"],
    tenant: null,
    requestsPerMinute: null,
  });
  const api = await startApi({ REDIS_URL: server.url, HOST_MEDIA_PATH: folder });
  const client = await createClient({ apiUrl: api.url, apiKey: secret });
  const agent = new Agent({ keepAlive: false });
  const endedAt = new Map<string, number>();
  const delays = { wait: [] as number[], stream: [] as number[], all: [] as number[] };
  const heard = (job: JobView, list: number[]) => {
    const at = endedAt.get(job.id);
    if (job.status === "cancelled" && at !== undefined) list.push(performance.now() - at);
  };
  const loop = monitorEventLoopDelay({ resolution: 10 });
  try {
    const ids: string[] = [];
    for (let from = 0; from < size.jobs; from += 50) {
      const some = Array.from({ length: Math.min(50, size.jobs - from) }, async (_, n) => {
        return (await client.submit("transcribe", { input: `film-${from + n}.mkv` })).id;
      });
      ids.push(...(await Promise.all(some)));
    }
    const apiMiBBefore = residentMiB(api.pid);
    const waits = ids.map(async (id) => heard(await client.wait(id), delays.wait));
    const headers = { authorization: `Bearer ${secret}` };
    const open = async (path: string, list: number[]) =>
      await openStream(`${api.url}/v1/${path}`, { headers, agent, onJob: (job) => heard(job, list) });
    const streams: [path: string, list: number[]][] = [
      ...ids.map((id): [string, number[]] => [`jobs/${id}/events`, delays.stream]),
      ...Array.from({ length: size.ofAll }, (): [string, number[]] => ["events", delays.all]),
    ];
    for (let from = 0; from < streams.length; from += 50) {
      await Promise.all(streams.slice(from, from + 50).map(async ([path, list]) => await open(path, list)));
    }
    const pids = { api: api.pid, redis: server.pid };
    const idle = await during(redis, pids, async () => await sleep(IDLE_SECONDS * 1000));
    const apiMiBFollowed = residentMiB(api.pid);
    loop.enable();
    const busy = await during(redis, pids, async () => {
      const startedAt = performance.now();
      for (const [n, id] of ids.entries()) {
        await sleep(startedAt + (n * 1000) / ENDS_PER_SECOND - performance.now());
        endedAt.set(id, performance.now());
        void client.cancel(id);
      }
      await Promise.all(waits);
    });
    await sleep(1000);
    loop.disable();
    const missing = ids.length * (2 + size.ofAll) - Object.values(delays).flat().length;
    if (missing > 0) throw new Error(`${missing} ends were not heard of`);
    return {
      waits: ids.length,
      streams: ids.length,
      streamsOfAllJobs: size.ofAll,
      apiMiBBefore,
      apiMiBFollowed,
      idleApiCpuPercent: idle.apiPercent,
      idleRedisCpuPercent: idle.redisPercent,
      idleRedisCommandsPerSecond: idle.commandsPerSecond,
      changesPerSecond: ENDS_PER_SECOND,
      busyApiCpuPercent: busy.apiPercent,
      busyRedisCpuPercent: busy.redisPercent,
      waitDelayMs: delaysOf(delays.wait),
      streamDelayMs: delaysOf(delays.stream),
      allStreamsDelayMs: delaysOf(size.ofAll === 0 ? [0] : delays.all),
      clientLoopDelayP99Ms: Math.round(loop.percentile(99) / 1e6),
    };
  } finally {
    agent.destroy();
    await client.close();
    api.child.kill();
    await once(api.child, "exit");
    redis.disconnect();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function startApi(
  env: Record<string, string>,
): Promise<{ readonly url: string; readonly pid: number; readonly child: ChildProcess }> {
  const child = spawn(process.execPath, [programFile("mirumoji-worker"), "api", "--json"], {
    env: cleanEnvironment({ ...env, MIRUMOJI_HTTP_PORT: "0", MIRUMOJI_LOGGING_LEVEL: "warn" }),
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (child.stdout === null || child.pid === undefined) throw new Error("the API did not start");
  const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  const { apiUrl } = JSON.parse(line) as { apiUrl: string };
  return { url: apiUrl, pid: child.pid, child };
}

/** Resolves when the stream is open. */
async function openStream(
  url: string,
  { headers, agent, onJob }: { headers: Record<string, string>; agent: Agent; onJob: (job: JobView) => void },
): Promise<void> {
  const asked = request(url, { headers, agent });
  asked.on("error", () => undefined);
  asked.end();
  const [answer] = (await once(asked, "response")) as [AsyncIterable<Buffer> & NodeJS.ReadableStream];
  const parser = createParser({ onEvent: ({ event, data }) => event === "job" && onJob(JSON.parse(data)) });
  answer.on("data", (chunk: Buffer) => parser.feed(chunk.toString()));
  answer.on("error", () => undefined);
}

async function during(
  redis: RedisConnection,
  pids: { readonly api: number; readonly redis: number },
  work: () => Promise<void>,
) {
  const commands = async () =>
    Number(/total_commands_processed:(\d+)/u.exec(await redis.info("stats"))?.[1] ?? 0);
  const before = { api: processCpu(pids.api), redis: processCpu(pids.redis), commands: await commands() };
  const startedAt = performance.now();
  await work();
  const seconds = (performance.now() - startedAt) / 1000;
  const percent = (spent: number) => Number(((spent / seconds) * 100).toFixed(1));
  return {
    apiPercent: percent(cpuBetween(before.api, processCpu(pids.api)).own),
    redisPercent: percent(cpuBetween(before.redis, processCpu(pids.redis)).own),
    commandsPerSecond: Number((((await commands()) - before.commands) / seconds).toFixed(1)),
  };
}

function residentMiB(pid: number): number {
  const [, kib = "0"] = /VmRSS:\s+(\d+)/u.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Math.round(Number(kib) / 1024);
}

function delaysOf(values: readonly number[]): Delays {
  const sorted = values.toSorted((a, b) => a - b);
  return { ...spreadOf(values), p99: Math.round(sorted[Math.floor(sorted.length * 0.99)] ?? 0) };
}
