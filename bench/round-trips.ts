import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectRedis, type RedisConnection } from "../src/queue/connection.ts";
import { Consumer } from "../src/queue/consumer.ts";
import { startEmbeddedRedis } from "../src/cli/embedded-redis.ts";
import { DEFAULT_PREFIX } from "../src/queue/keys.ts";
import { closeQueues, openQueues } from "../src/queue/queues.ts";
import { scriptText } from "../src/queue/scripts.ts";
import { runJob } from "../src/runner/run-job.ts";
import { instantTools } from "../support/instant-tools.ts";

/** How many commands a job sends to Redis, by name. */
export interface RoundTrips {
  readonly jobs: number;
  /** Per job; each one is waited for. */
  readonly waitedFor: number;
  /** Per job; sent after the job is finished and not waited for. */
  readonly notWaitedFor: number;
  readonly byCommand: Record<string, number>;
  /** Bytes per job that Redis took in and gave out. */
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** Our scripts by the digest that `evalsha` names them with. */
const OURS = new Map(
  (["commit", "settle"] as const).map((name) => [
    createHash("sha1").update(scriptText(name)).digest("hex"),
    name,
  ]),
);

/** Runs `jobs` jobs from a backlog, one at a time, with instant steps and a real Redis, and counts. */
export async function measureRoundTrips(jobs: number): Promise<RoundTrips> {
  const folder = await mkdtemp(join(tmpdir(), "mirumoji-bench-"));
  const server = await startEmbeddedRedis({ folder });
  const redis = connectRedis(server.url);
  const queues = openQueues(redis, DEFAULT_PREFIX);
  try {
    await queues.convert.addBulk(
      Array.from({ length: jobs }, () => ({ name: "convert", data: { v: 1, input: "film.mkv" } })),
    );
    const counts = new Map<string, number>();
    const send = redis.sendCommand.bind(redis);
    redis.sendCommand = (command, stream) => {
      const name = command.name;
      const script = name === "evalsha" ? (OURS.get(String(command.args[0])) ?? "bullmq script") : name;
      counts.set(script, (counts.get(script) ?? 0) + 1);
      return send(command, stream);
    };
    const before = await traffic(redis);
    const tools = instantTools();
    let left = jobs;
    await new Promise<void>((resolve, reject) => {
      const consumer = new Consumer({
        queue: queues.convert,
        redis,
        prefix: DEFAULT_PREFIX,
        concurrency: 1,
        leaseMs: 15_000,
        stalledIntervalMs: 5000,
        now: Date.now,
        onError: reject,
        handle: async (delivery) => {
          const result = await runJob(delivery, tools);
          if (result.kind !== "completed") throw new Error(`job ${delivery.jobId} ended as ${result.kind}`);
          left -= 1;
          // Stop once the last job is handed to BullMQ; stopping waits for it.
          if (left === 0) setImmediate(() => void consumer.stop().then(resolve, reject));
          return result;
        },
      });
    });
    const after = await traffic(redis);
    const perJob = [...counts]
      .map(([name, count]) => [name, count / jobs] as const)
      .filter(([, rate]) => rate >= 0.5);
    const total = perJob.reduce((sum, [, rate]) => sum + rate, 0);
    const settled = perJob.find(([name]) => name === "settle")?.[1] ?? 0;
    return {
      jobs,
      waitedFor: round(total - settled),
      notWaitedFor: round(settled),
      byCommand: Object.fromEntries(perJob.map(([name, rate]) => [name, round(rate)])),
      bytesIn: Math.round((after.bytesIn - before.bytesIn) / jobs),
      bytesOut: Math.round((after.bytesOut - before.bytesOut) / jobs),
    };
  } finally {
    await closeQueues(queues);
    redis.disconnect();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function traffic(redis: RedisConnection): Promise<{ bytesIn: number; bytesOut: number }> {
  const info = await redis.info("stats");
  const field = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, "mu").exec(info)?.[1]);
  return { bytesIn: field("total_net_input_bytes"), bytesOut: field("total_net_output_bytes") };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
