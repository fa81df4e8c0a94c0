import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { connectRedis } from "../../src/queue/connection.ts";
import { Consumer } from "../../src/queue/consumer.ts";
import { createJobIndex } from "../../src/queue/job-index.ts";
import { createRedisJobs } from "../../src/queue/redis-jobs.ts";
import { DEFAULT_PREFIX, jobKeys } from "../../src/queue/keys.ts";
import { closeQueues, openQueues } from "../../src/queue/queues.ts";
import { QUEUED_SUMMARY } from "../../src/job/summary.ts";
import { testRedis } from "../../support/redis.ts";

const run = promisify(execFile);
const page = readFileSync(fileURLToPath(new URL("../../docs/api.md", import.meta.url)), "utf8");

it("the recipe for other languages submits a job that runs, is listed and is kept like all others", async () => {
  await using server = await testRedis();
  const [, recipe = ""] = /<!-- redis recipe -->\s+```sh\n([\s\S]+?)```/u.exec(page) ?? [];
  const now = Date.now();
  const submit = async (id: string) => {
    const { hostname, port, password } = new URL(server.url);
    const redisEnv = { REDIS_HOST: hostname, REDIS_PORT: port, REDISCLI_AUTH: password };
    const env = { ...process.env, ...redisEnv, ID: id, NOW: String(now) };
    const { stdout } = await run("sh", ["-c", recipe], { env });
    expect(stdout).not.toMatch(/ERR/u);
  };
  const redis = connectRedis(server.url);
  const queues = openQueues(redis, DEFAULT_PREFIX);
  const jobs = createRedisJobs(redis, queues, DEFAULT_PREFIX);
  await submit("from-shell");
  expect(await jobs.get("from-shell")).toMatchObject({
    type: "convert",
    status: "queued",
    input: "film.mkv",
    submittedAt: now,
  });
  expect(await jobs.list({ limit: 5 })).toMatchObject([{ id: "from-shell" }]);
  const ended = jobs.wait("from-shell");
  const consumer = new Consumer({
    queue: queues.convert,
    redis,
    prefix: DEFAULT_PREFIX,
    concurrency: 1,
    leaseMs: 5000,
    stalledIntervalMs: 5000,
    now: Date.now,
    onError: () => undefined,
    handle: async () => ({
      kind: "completed",
      summary: { ...QUEUED_SUMMARY, state: "completed", status: "completed" },
      settle: async () => {},
    }),
  });
  expect((await ended).status).toBe("completed");
  // Eight days later the next end takes it along, although its producer said nothing of how long it is kept.
  const past = now - 8 * 24 * 3600 * 1000;
  await redis.zadd(queues.convert.toKey("completed"), past, "from-shell");
  await submit("another");
  await jobs.wait("another");
  expect(await redis.exists(jobKeys(DEFAULT_PREFIX, "convert", "from-shell").job)).toBe(0);
  const index = createJobIndex(redis, queues, DEFAULT_PREFIX);
  expect(await index.prune(now + 1)).toBe(1);
  expect(await jobs.list({ limit: 5 })).toMatchObject([{ id: "another" }]);
  await consumer.stop();
  await closeQueues(queues);
  redis.disconnect();
});
