import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { createClient } from "../../src/index.ts";
import type { JobView } from "../../src/job/summary.ts";
import {
  closeRedis,
  connectLastingRedis,
  connectPromptRedis,
  probeRedis,
  type RedisSettings,
} from "../../src/queue/connection.ts";
import { Consumer } from "../../src/queue/consumer.ts";
import { readPoolState } from "../../src/queue/depth.ts";
import { inspectRedis } from "../../src/queue/inspect-redis.ts";
import { openLedger } from "../../src/queue/ledger.ts";
import { openPoolPause } from "../../src/queue/pool-pause.ts";
import { closeQueues, openQueues } from "../../src/queue/queues.ts";
import { runJob } from "../../src/runner/run-job.ts";
import { testFolder } from "../../support/folder.ts";
import { instantTools } from "../../support/instant-tools.ts";
import { randomPrefix } from "../../support/redis.ts";
import { makeCertificates } from "../helpers/redis/certificates.ts";
import {
  inSync,
  type RedisNode,
  startCluster,
  startNode,
  startPair,
  startSentinel,
} from "../helpers/redis/servers.ts";

let folder: Awaited<ReturnType<typeof testFolder>>;
beforeAll(async () => {
  folder = await testFolder();
});
afterAll(async () => await folder[Symbol.asyncDispose]());

/** Ends a server after the test, when all that was opened later is closed. */
async function own(starting: RedisNode | Promise<RedisNode>): Promise<RedisNode> {
  const node = await starting;
  onTestFinished(async () => await node.kill("SIGKILL"));
  return node;
}

const login = (node: RedisNode, scheme = "redis") => `${scheme}://127.0.0.1:${node.port}`;

/** Everything that runs on a Redis: a client, a consumer, and what is shown of both. */
async function openPool(settings: RedisSettings, prefix = randomPrefix()) {
  const errors: unknown[] = [];
  const onError = (error: unknown) => void errors.push(error);
  const redis = await connectLastingRedis(settings, onError);
  const queues = openQueues(redis, prefix);
  const consumer = new Consumer({
    queue: queues.convert,
    redis,
    prefix,
    concurrency: 2,
    leaseMs: 3000,
    stalledIntervalMs: 1000,
    now: Date.now,
    onError,
    handle: async (delivery) => await runJob(delivery, instantTools()),
  });
  const client = await createClient({
    redisUrl: settings.REDIS_URL,
    queuePrefix: prefix,
    ...(settings.MIRUMOJI_REDIS_CA === undefined ? {} : { redisCa: settings.MIRUMOJI_REDIS_CA }),
  });
  const front = await connectPromptRedis(settings, onError);
  onTestFinished(async () => {
    await consumer.stop();
    await client.close();
    await closeQueues(queues);
    closeRedis(redis);
    closeRedis(front);
  });
  let n = 0;
  const run = async (): Promise<JobView> => {
    const { id } = await client.submit("convert", { input: `film-${(n += 1)}.mkv` });
    return await client.wait(id, { pollMs: 500 });
  };
  const probe = async () => await probeRedis(front, prefix).then(() => "fine", String);
  const pool = async () =>
    await readPoolState(
      {
        redis: front,
        prefix,
        queues,
        ledger: openLedger(front, queues, prefix),
        pause: openPoolPause(front, prefix),
      },
      Date.now(),
    );
  return { run, probe, pool, client, redis, errors, prefix };
}

async function expectAllWorks(settings: RedisSettings): Promise<void> {
  const { run, probe, pool, client, errors } = await openPool(settings);
  expect((await run()).status).toBe("completed");
  const { id } = await client.submit("transcribe", { input: "waits.mkv" });
  await client.cancel(id);
  expect((await client.list({ limit: 5 })).map(({ status }) => status)).toEqual(["cancelled", "completed"]);
  expect(await probe()).toBe("fine");
  expect((await pool()).queues.find(({ queue }) => queue === "convert")?.workers).toBe(1);
  expect((await inspectRedis(settings)).evictionPolicy).toBe("noeviction");
  expect(errors).toEqual([]);
}

describe("a Redis", () => {
  it("with TLS and a private authority, which is needed", async () => {
    const { ca, key, cert } = await makeCertificates(folder.path);
    const node = await own(
      startNode(folder.path, {
        tls: { ca: await readFile(ca), host: "127.0.0.1" },
        lines: [
          `tls-cert-file ${cert}`,
          `tls-key-file ${key}`,
          `tls-ca-cert-file ${ca}`,
          "tls-auth-clients no",
        ],
      }),
    );
    await expectAllWorks({ REDIS_URL: login(node, "rediss"), MIRUMOJI_REDIS_CA: ca });
    await expect(createClient({ redisUrl: login(node, "rediss") })).rejects.toMatchObject({
      code: "REDIS_UNAVAILABLE",
      message: expect.stringContaining("certificate") as string,
    });
  });

  it("with a user that has the documented rights, and one that has fewer", async () => {
    const node = await own(startNode(folder.path));
    const page = await readFile("docs/operations.md", "utf8");
    const [, line = ""] = /^ {4}(ACL SETUSER .*)$/mu.exec(page) ?? [];
    const [command = "", ...args] = line.replaceAll("{mirumoji}", "{test-acl}").split(/\s+/u);
    await node.admin.call(command, ...args.map((arg) => (arg === ">secret" ? ">pass" : arg)));
    const settings = { REDIS_URL: `redis://mirumoji:pass@127.0.0.1:${node.port}` };
    const { run, probe, pool, errors } = await openPool(settings, "{test-acl}");
    expect((await run()).status).toBe("completed");
    expect((await pool()).queues.length).toBe(2);
    expect([await probe(), errors]).toEqual(["fine", []]);

    await node.admin.call("ACL", "SETUSER", "mirumoji", "-@write");
    expect(await probe()).toMatch(/docs\/operations\.md.*NOPERM/u);
    const client = await createClient({ redisUrl: settings.REDIS_URL, queuePrefix: "{test-acl}" });
    onTestFinished(async () => await client.close());
    await expect(client.submit("convert", { input: "x.mkv" })).rejects.toMatchObject({
      code: "REDIS_NO_PERMISSION",
    });
    const wrong = createClient({ redisUrl: `redis://mirumoji:wrong@127.0.0.1:${node.port}` });
    await expect(wrong).rejects.toMatchObject({ code: "REDIS_NO_PERMISSION" });
  });

  it("that is a cluster, by any of its nodes; without saying so the error tells", async () => {
    const nodes = await startCluster(folder.path);
    for (const node of nodes) await own(node);
    for (const node of nodes) await expectAllWorks({ REDIS_URL: login(node, "redis+cluster") });
    const codes = nodes.map(async (node) => {
      const client = await createClient({ redisUrl: login(node), queuePrefix: "{one-slot}", retryMs: 1000 });
      const code = await client.submit("convert", { input: "x.mkv" }).then(
        () => "fine",
        ({ code: got }) => String(got),
      );
      await client.close();
      return code;
    });
    expect((await Promise.all(codes)).toSorted()).toEqual(["REDIS_MOVED", "fine"]);
  });

  it("that is full says so, and goes on when it is not", async () => {
    const node = await own(startNode(folder.path));
    const { run, probe, client } = await openPool({ REDIS_URL: login(node) });
    await node.admin.config("SET", "maxmemory", "1");
    expect(await probe()).toMatch(/raise maxmemory.*OOM/u);
    await expect(client.submit("convert", { input: "x.mkv" })).rejects.toMatchObject({
      code: "REDIS_OUT_OF_MEMORY",
    });
    await node.admin.config("SET", "maxmemory", "0");
    await node.admin.config("SET", "min-replicas-to-write", "1");
    expect(await probe()).toMatch(/min-replicas-to-write.*NOREPLICAS/u);
    await node.admin.config("SET", "min-replicas-to-write", "0");
    expect((await run()).status).toBe("completed");
  });

  it("that is demoted is left for the new primary, with few words", async () => {
    const [primary, replica] = await startPair(folder.path);
    await own(primary);
    await own(replica);
    const { run, probe, client, errors } = await openPool({ REDIS_URL: login(primary) });
    expect((await run()).status).toBe("completed");
    await primary.admin.replicaof("127.0.0.1", String(replica.port));
    const left = client.submit("convert", { input: "x.mkv" });
    await expect.poll(probe, { timeout: 5000 }).toMatch(/redis\+sentinel:.*READONLY/u);
    expect(errors.length).toBeLessThan(40);
    await primary.admin.replicaof("NO", "ONE");
    await client.wait((await left).id);
    expect((await run()).status).toBe("completed");
  });

  it("that Sentinels watch is followed to the new primary, and a job that runs goes on", async () => {
    const [primary, replica] = await startPair(folder.path);
    await own(primary);
    await own(replica);
    const sentinel = await own(startSentinel(folder.path, primary, "films"));
    const settings = { REDIS_URL: `redis+sentinel://127.0.0.1:${sentinel.port}/films?db=0` };
    const { run } = await openPool(settings);
    expect((await run()).status).toBe("completed");
    await inSync(replica);
    await expect
      .poll(async () => String(await sentinel.admin.call("SENTINEL", "REPLICAS", "films")), {
        timeout: 15_000,
      })
      .toContain(String(replica.port));
    await primary.kill("SIGKILL");
    expect((await run()).status).toBe("completed");
    expect(await replica.admin.info("replication")).toContain("role:master");
  });
});
