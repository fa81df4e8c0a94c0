import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Client, createClient, type HttpClient } from "../../src/index.ts";
import { startTcpProxy } from "../helpers/crash/tcp-proxy.ts";
import { completed, startTestServer, type TestServer } from "../helpers/http/server.ts";

let server: TestServer;
let http: HttpClient;
let redis: Client;
beforeAll(async () => {
  server = await startTestServer();
  http = await createClient({ apiUrl: server.http.apiUrl, apiKey: await server.key() });
  redis = await createClient({ redisUrl: server.redisUrl, queuePrefix: server.prefix });
});
afterAll(async () => {
  await http.close();
  await redis.close();
  await server[Symbol.asyncDispose]();
});

const DONE = completed([]);

describe.each([
  ["HTTP", () => http],
  ["Redis", () => redis],
])("a client that speaks %s", (name, client) => {
  it("submits, tells new from known, lists, cancels, retries and deletes", async () => {
    const input = `${name}.mkv`;
    const options = { idempotencyKey: name };
    const { id, created } = await client().submit("convert", { input, tags: [name] }, options);
    expect(created).toBe(true);
    expect(await client().submit("convert", { input, tags: [name] }, options)).toEqual({
      id,
      type: "convert",
      created: false,
    });
    expect(await client().get(id)).toMatchObject({ id, status: "queued", input, tags: [name] });
    expect(await client().list({ limit: 5, tag: name, status: ["queued"] })).toMatchObject([{ id }]);
    expect(await client().listPage({ limit: 5, tag: "none" })).toEqual({ jobs: [], nextCursor: null });
    expect(await client().cancel(id)).toEqual({ id, accepted: true });
    await client().retry(id);
    await expect(client().delete(id)).rejects.toMatchObject({ code: "JOB_NOT_FINISHED" });
    await client().cancel(id);
    await client().delete(id);
    await expect(client().get(id)).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
    await expect(client().wait("nobody")).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
    await expect(client().submit("convert", { input: "../x" })).rejects.toMatchObject({
      code: "PATH_OUTSIDE_MEDIA_ROOT",
    });
  });

  it("submits batches, follows them to their end, cancels and retries them", async () => {
    const { batches } = client();
    const items = [1, 2].map((n) => ({ type: "convert" as const, request: { input: `${name}-${n}.mkv` } }));
    const key = { idempotencyKey: `batch of ${name}` };
    const { id, created } = await batches.submit({ items }, key);
    expect(created).toBe(true);
    expect(await batches.submit({ items }, key)).toEqual({ id, created: false });
    const wrong = [...items, { type: "convert" as const, request: { input: "../x" } }];
    await expect(batches.submit({ items: wrong })).rejects.toMatchObject({
      code: "PATH_OUTSIDE_MEDIA_ROOT",
      message: expect.stringContaining("item 2") as string,
    });
    await expect(batches.submit({ items: [] })).rejects.toMatchObject({ code: "REQUEST_INVALID" });
    await expect(batches.wait(id, { timeoutMs: 50, pollMs: 20 })).rejects.toMatchObject({
      code: "WAIT_TIMED_OUT",
    });
    const seen: string[] = [];
    for await (const { status } of batches.watch(id, { pollMs: 20 })) {
      if (seen.push(status) === 1) expect(await batches.cancel(id)).toBe(2);
    }
    expect([...new Set(seen)]).toEqual(["running", "cancelled"]);
    expect(await batches.retry(id)).toBe(2);
    expect(await batches.get(id)).toMatchObject({ status: "running", total: 2, cancelled: 0 });
    expect(await batches.cancel(id)).toBe(2);
    expect(await batches.wait(id)).toMatchObject({ id, status: "cancelled", cancelled: 2 });
    await expect(batches.wait("batch-none")).rejects.toMatchObject({ code: "BATCH_NOT_FOUND" });
  });

  it("waits for many jobs over one connection, and hears of each end without looking", async () => {
    const jobs = await Promise.all(
      Array.from({ length: 20 }, async (_, n) => await client().submit("convert", { input: `${n}.mkv` })),
    );
    const before = await server.redisConnections();
    const waits = jobs.map(async ({ id }) => await client().wait(id, { pollMs: 600_000 }));
    await client().get(jobs[0]?.id ?? "");
    expect((await server.redisConnections()) - before).toBeLessThanOrEqual(1);
    for (const _job of jobs) await server.finish("convert", DONE);
    expect((await Promise.all(waits)).map(({ status }) => status)).toEqual(jobs.map(() => "completed"));
  });

  it("gives the changes of a job one by one, until its end", async () => {
    const { id } = await client().submit("convert", { input: "watched.mkv" });
    const seen: string[] = [];
    for await (const { status } of client().watch(id, { pollMs: 600_000 })) {
      seen.push(status);
      if (status === "queued") await server.finish("convert", DONE);
    }
    expect([seen[0], seen.at(-1)]).toEqual(["queued", "completed"]);
    expect(new Set(seen).size).toBe(seen.length);
  });

  it("gives up a wait in time, or when it is told to", async () => {
    const { id } = await client().submit("convert", { input: "slow.mkv" });
    await expect(client().wait(id, { timeoutMs: 100 })).rejects.toMatchObject({ code: "WAIT_TIMED_OUT" });
    const stop = new AbortController();
    const wait = client().wait(id, { signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(wait).rejects.toThrow("enough");
    await client().cancel(id);
  });
});

describe("over HTTP", () => {
  it("goes on when the server closes the connection, and misses nothing", async () => {
    await using proxy = await startTcpProxy(Number(new URL(server.http.apiUrl).port));
    await using far = await createClient({
      apiUrl: `http://127.0.0.1:${proxy.port}`,
      apiKey: await server.key(),
    });
    const { id } = await far.submit("convert", { input: "cut.mkv" });
    const seen: string[] = [];
    const wait = far.wait(id, { pollMs: 600_000, onChange: ({ status }) => void seen.push(status) });
    await expect.poll(() => seen).toEqual(["queued"]);
    proxy.cut();
    await server.finish("convert", DONE);
    expect((await wait).status).toBe("completed");
  });

  it("resumes events where a reader stopped", async () => {
    const key = await server.key();
    const events = async (lastId?: string) => {
      const stop = new AbortController();
      const response = await server.request("/v1/events?tag=resumed", {
        headers: {
          authorization: `Bearer ${key}`,
          ...(lastId === undefined ? {} : { "last-event-id": lastId }),
        },
        signal: stop.signal,
      });
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      return {
        async until(words: string) {
          while (!text.includes(words)) text += (await reader?.read())?.value ?? "";
          return text;
        },
        stop: () => stop.abort(),
      };
    };
    const first = await events();
    const { id } = await http.submit("convert", { input: "first.mkv", tags: ["resumed"] });
    const place = /^id: (\S+)$/mu.exec(await first.until(`"id":"${id}"`))?.[1];
    first.stop();
    await server.finish("convert", DONE);
    const { id: missed } = await http.submit("convert", { input: "missed.mkv", tags: ["resumed"] });
    const second = await events(place);
    const text = await second.until(`"id":"${missed}"`);
    expect(text).toContain(`"id":"${id}"`);
    expect(text).toContain('"status":"completed"');
    second.stop();
    const tooOld = await events("1-1,1-1");
    await tooOld.until("event: gap");
    tooOld.stop();
    await http.cancel(missed);
  });

  it("says what is wrong with its key or its address", async () => {
    await using stranger = await createClient({ apiUrl: server.http.apiUrl, apiKey: "mk_x" });
    await expect(stranger.get("a")).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    await expect(stranger.wait("a")).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    await using nowhere = await createClient({ apiUrl: "http://127.0.0.1:1", apiKey: "mk_x" });
    await expect(nowhere.cancel("a")).rejects.toMatchObject({ code: "API_UNAVAILABLE" });
  });
});
