import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { openApi } from "../../src/compose/api.ts";
import { loadEnvironment } from "../../src/config/load.ts";
import { httpSettings, startHttp } from "../../src/http/server.ts";
import { type Client, createClient } from "../../src/index.ts";
import { openApiKeys } from "../../src/queue/api-keys.ts";
import { connectRedis } from "../../src/queue/connection.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { testFolder } from "../../support/folder.ts";
import { randomPrefix } from "../../support/redis.ts";
import { type RedisService, startRedis } from "../helpers/crash/services.ts";
import { startTcpProxy } from "../helpers/crash/tcp-proxy.ts";

const prefix = randomPrefix();
let folder: Awaited<ReturnType<typeof testFolder>>;
let server: RedisService;
beforeAll(async () => {
  folder = await testFolder();
  server = await startRedis(folder.path);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

async function connect(options: { redisUrl?: string; retryMs?: number } = {}): Promise<Client> {
  const client = await createClient({ redisUrl: server.url, queuePrefix: prefix, ...options });
  onTestFinished(async () => await client.close());
  return client;
}

const code = (wanted: string) => expect.objectContaining({ code: wanted });
const since = (start: number) => performance.now() - start;

describe("a client on Redis", () => {
  it("outlives connections that are cut, and waits over them", async () => {
    await using proxy = await startTcpProxy(server.port);
    const client = await connect({ redisUrl: `redis://127.0.0.1:${proxy.port}` });
    const other = await connect();
    const { id } = await client.submit("convert", { input: "cut.mkv" });
    const waits = client.wait(id, { pollMs: 60_000 });
    for (let cut = 0; cut < 3; cut += 1) {
      proxy.cut();
      expect((await client.get(id)).status).toBe("queued");
    }
    await other.cancel(id);
    expect((await waits).status).toBe("cancelled");
  });

  it("waits for a Redis that is away as long as it was told to, and then says so", async () => {
    const patient = await connect({ retryMs: 20_000 });
    const hasty = await connect({ retryMs: 400 });
    const { id } = await patient.submit("convert", { input: "away.mkv" });
    const [waits, gaveUp] = [patient.wait(id), hasty.wait(id)];
    gaveUp.catch(() => undefined);
    await expect.poll(async () => (await hasty.get(id)).status).toBe("queued");
    await server.kill();
    const start = performance.now();
    const later = patient.get(id);
    await expect(hasty.get(id)).rejects.toEqual(code("REDIS_UNAVAILABLE"));
    await expect(gaveUp).rejects.toEqual(code("REDIS_UNAVAILABLE"));
    expect(since(start)).toBeLessThan(1500);
    const again = performance.now();
    await expect(hasty.submit("convert", { input: "x.mkv" })).rejects.toEqual(code("REDIS_UNAVAILABLE"));
    expect(since(again)).toBeLessThan(100);
    await server.start();
    expect((await later).id).toBe(id);
    await expect.poll(async () => await hasty.get(id).catch(String)).toMatchObject({ id });
    await hasty.cancel(id);
    expect((await waits).status).toBe("cancelled");
    // A refused command is not sent when Redis comes back.
    expect((await hasty.list({ limit: 10 })).map(({ input }) => input)).not.toContain("x.mkv");
  });

  it("is told at once that nobody answers at an address", async () => {
    const start = performance.now();
    await expect(createClient({ redisUrl: "redis://me:secret@127.0.0.1:1" })).rejects.toMatchObject({
      code: "REDIS_UNAVAILABLE",
      message: expect.not.stringContaining("secret") as string,
    });
    expect(since(start)).toBeLessThan(2000);
  });
});

describe("the API", () => {
  it("answers 503 soon while Redis is away, cut or silent, keeps its streams, and recovers", async () => {
    await using proxy = await startTcpProxy(server.port);
    const redis = connectRedis(server.url);
    const { secret } = await openApiKeys(redis, prefix, Date.now).create({
      name: "test",
      scopes: ["read"],
      tenant: null,
      requestsPerMinute: null,
    });
    redis.disconnect();
    const environment = loadEnvironment({
      REDIS_URL: `redis://127.0.0.1:${proxy.port}`,
      MIRUMOJI_QUEUE_PREFIX: prefix,
      MIRUMOJI_HTTP_PORT: "0",
      HOST_MEDIA_PATH: folder.path,
    });
    const api = await openApi(environment, createLogger({ level: "silent", readable: false }));
    const http = await startHttp(httpSettings(environment), api);
    onTestFinished(async () => {
      await http.close();
      await api.stop();
    });
    const ask = async (path: string) =>
      await fetch(`${http.apiUrl}${path}`, { headers: { authorization: `Bearer ${secret}` } });
    const { id } = await (await connect()).submit("convert", { input: "api.mkv" });
    const stream = await ask(`/v1/jobs/${id}/events`);
    expect((await ask("/readyz")).status).toBe(200);

    proxy.blackHole();
    const start = performance.now();
    const first = await ask(`/v1/jobs/${id}`);
    expect([first.status, first.headers.get("retry-after")]).toEqual([503, "5"]);
    expect(await first.json()).toMatchObject({ code: "REDIS_UNAVAILABLE", status: 503 });
    expect(since(start)).toBeLessThan(6000);
    const again = performance.now();
    const answers = await Promise.all([ask(`/v1/jobs/${id}`), ask("/readyz"), ask("/api/jobs")]);
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 503]);
    expect(since(again)).toBeLessThan(500);
    expect(await answers[1].json()).toMatchObject({
      checks: { redis: expect.stringMatching(/^REDIS_UNAVAILABLE: /u) as string },
    });

    proxy.heal();
    await expect.poll(async () => (await ask(`/v1/jobs/${id}`)).status, { timeout: 5000 }).toBe(200);
    expect((await ask("/readyz")).status).toBe(200);
    await (await connect()).cancel(id);
    expect(await stream.text()).toContain('"status":"cancelled"');
  });
});
