import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { JobSummary } from "../../src/job/summary.ts";
import { openOutbound } from "../../src/net/outbound.ts";
import { type SenderOptions, startWebhookSender } from "../../src/pool/webhook-sender.ts";
import { openOutbox, type Outbox } from "../../src/queue/outbox.ts";
import { openWebhookSecrets, type WebhookSecrets } from "../../src/queue/webhook-secrets.ts";
import { type Received, type Receiver, startReceiver, verify } from "../helpers/http/receiver.ts";
import { startTestServer, type TestServer } from "../helpers/http/server.ts";

const DONE: JobSummary = {
  v: 1,
  state: "completed",
  status: "completed",
  states: [],
  outputs: [],
  error: null,
};

let server: TestServer;
let outbox: Outbox;
let secrets: WebhookSecrets;

beforeAll(async () => {
  server = await startTestServer();
  outbox = openOutbox(server.redis, server.prefix);
  secrets = openWebhookSecrets(server.redis, server.prefix, Date.now);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function receiver(...answer: Parameters<typeof startReceiver>): Promise<Receiver> {
  const started = await startReceiver(...answer);
  onTestFinished(() => started.close());
  return started;
}

/** A process that sends; the clock may run ahead of Redis', so that lateness can be had at once. */
function sender(changes: Partial<SenderOptions> = {}, privateNetworks = ["127.0.0.1"]) {
  const tries: Parameters<SenderOptions["onTry"]>[0][] = [];
  const outbound = openOutbound({ privateNetworks, connectMs: 2000 });
  const errors: unknown[] = [];
  const running = startWebhookSender({
    outbox,
    keys: server.api.keys,
    secrets,
    outbound,
    leaseMs: 15_000,
    userAgent: "mirumoji-worker/0",
    redact: (text) => text,
    onTry: (ended) => tries.push(ended),
    onError: (error) => errors.push(error),
    now: Date.now,
    random: () => 0.5,
    ...changes,
  });
  const stop = async () => {
    await running.stop();
    await outbound.close();
  };
  onTestFinished(stop);
  return { tries, errors, stop };
}

async function submit(key: string, webhook?: { url: string; events?: string[] }): Promise<string> {
  const request = { input: "talk.wav", ...(webhook === undefined ? {} : { webhook }) };
  const { status, json } = await server.ask("POST", "/v1/jobs", {
    key,
    body: { type: "transcribe", request },
  });
  expect(json).toMatchObject({ status: "queued" });
  expect(status).toBe(201);
  return (json as { id: string }).id;
}

/** Brings what is to be tried later forward to now. */
async function makeDue(): Promise<void> {
  const due = `${server.prefix}:webhooks:due`;
  for (const lane of await server.redis.zrange(due, "0", "-1")) await server.redis.zadd(due, 0, lane);
}

async function until(check: () => Promise<boolean> | boolean): Promise<void> {
  await expect.poll(check, { timeout: 20_000, interval: 50 }).toBe(true);
}

describe("the webhook of a job", () => {
  it("gets its end, signed so that the official library takes it, and nothing of a job without one", async () => {
    const target = await receiver();
    const key = await server.key();
    await submit(key);
    await server.finish("transcribe", DONE);
    const id = await submit(key, { url: `${target.url}/hook?token=abc` });
    await server.finish("transcribe", DONE);
    sender();
    const [first] = await target.count(1);
    expect(first).toMatchObject({
      path: "/hook?token=abc",
      event: { type: "job.completed", data: { id, status: "completed", input: "talk.wav" } },
    });
    expect(first?.headers["webhook-id"]).toMatch(/^evt_[0-9a-f]{40}$/u);
    const [, keyId = ""] = key.split("_");
    for (const secret of await secrets.valid(keyId)) verify(secret, first as Received);
    expect(() => verify("whsec_c2VjcmV0", first as Received)).toThrow("No matching signature");
    await until(async () => (await outbox.figures()).pending === 0);
    expect(target.received).toHaveLength(1);
  });

  it("gets failures and cancels by their names, and only those that it wants", async () => {
    const target = await receiver();
    const key = await server.key();
    const failed = await submit(key, { url: target.url });
    await server.finish("transcribe", new Error("ENGINE_FAILED: no sound"));
    const cancelled = await submit(key, { url: target.url });
    await server.jobs.cancel(cancelled);
    const unwanted = await submit(key, { url: target.url, events: ["completed"] });
    await server.jobs.cancel(unwanted);
    sender();
    const events = (await target.count(2)).map(({ event }) => `${event.type} ${event.data.id}`);
    expect(new Set(events)).toEqual(new Set([`job.cancelled ${cancelled}`, `job.failed ${failed}`]));
    await until(async () => (await outbox.figures()).pending === 0);
    expect(target.received).toHaveLength(2);
  });

  it("is tried again with the same ID and body until it answers, and then gets the job's next end", async () => {
    const answers = [500, 302, 204, 204];
    const target = await receiver((_one, reply) => {
      reply.setHeader("location", `${target.url}/elsewhere`);
      return answers.shift() ?? 204;
    });
    const id = await submit(await server.key(), { url: target.url });
    await server.finish("transcribe", new Error("ENGINE_FAILED: first life"));
    await server.jobs.retry(id);
    await server.finish("transcribe", DONE);
    const { tries } = sender();
    for (const count of [1, 2]) {
      await until(() => tries.length === count);
      await makeDue();
    }
    const received = await target.count(4);
    expect(received.map(({ event, path }) => `${event.type} ${path}`)).toEqual([
      "job.failed /",
      "job.failed /",
      "job.failed /",
      "job.completed /",
    ]);
    const ids = received.map(({ headers }) => headers["webhook-id"]);
    expect(new Set(ids.slice(0, 3)).size).toBe(1);
    expect(ids[3]).not.toBe(ids[0]);
    expect(new Set(received.slice(0, 3).map(({ body }) => body)).size).toBe(1);
    await until(() => tries.length === 4);
    expect(tries.map(({ outcome, error }) => error ?? outcome)).toEqual([
      "the receiver answered 500",
      "the receiver answered 302",
      "delivered",
      "delivered",
    ]);
  });

  it("is given up after 24 hours, or when the receiver is gone, and replayed on demand", async () => {
    let status = 503;
    const target = await receiver(() => status);
    const key = await server.key();
    await submit(key, { url: `${target.url}/secret-path` });
    await server.finish("transcribe", DONE);
    const late = sender({ now: () => Date.now() + 24 * 3_600_000 });
    await until(() => late.tries.length === 1);
    await late.stop();
    expect(late.tries).toMatchObject([{ outcome: "dead", to: `${target.url}/…` }]);
    status = 410;
    await submit(key, { url: `${target.url}/secret-path` });
    await server.finish("transcribe", DONE);
    const { tries } = sender();
    await until(() => tries.length === 1);
    const dead = await outbox.list("dead", 10);
    expect(dead.map(({ lastError }) => lastError)).toEqual([
      "the receiver answered 410",
      "the receiver answered 503",
    ]);
    expect(await outbox.figures()).toMatchObject({ pending: 0, dead: 2, oldestAt: null });
    status = 200;
    for (const { id } of dead.toReversed()) await outbox.replay(id);
    await until(() => tries.length === 3);
    expect(tries.map(({ outcome }) => outcome)).toEqual(["dead", "delivered", "delivered"]);
    expect(await outbox.figures()).toMatchObject({ pending: 0, dead: 0 });
    await expect(outbox.replay(dead[0]?.id ?? "")).rejects.toMatchObject({ code: "WEBHOOK_NOT_FOUND" });
  });

  it("must not lead into a network that is not public, neither at the submit nor later", async () => {
    const key = await server.key();
    const refused = [
      ["http://10.0.0.1/", 409],
      ["https://[::ffff:169.254.169.254]/", 409],
      ["ftp://a.test/", 400],
    ] as const;
    for (const [url, answer] of refused) {
      const request = { input: "a.wav", webhook: { url } };
      const { status } = await server.ask("POST", "/v1/jobs", { key, body: { type: "transcribe", request } });
      expect(status, url).toBe(answer);
    }
    const target = await receiver();
    // By name, and by an address that the operator allowed once.
    for (const url of [target.url.replace("127.0.0.1", "localhost"), target.url]) {
      await submit(key, { url });
      await server.finish("transcribe", DONE);
    }
    const { tries, stop } = sender({}, []);
    await until(() => tries.length === 2);
    await stop();
    expect(tries.map(({ error }) => error?.split(":")[0])).toEqual(["URL_NOT_ALLOWED", "URL_NOT_ALLOWED"]);
    expect(target.received).toEqual([]);
    await makeDue();
    sender();
    await target.count(2);
  });

  it("keeps neither a slot nor memory for a receiver that hangs or answers without end", async () => {
    const slow = await receiver((_one, reply) => {
      reply.writeHead(200);
      const flood = setInterval(() => reply.write("x".repeat(65_536)), 5);
      reply.on("close", () => clearInterval(flood));
      return null;
    });
    await submit(await server.key(), { url: slow.url });
    await server.finish("transcribe", DONE);
    const { tries } = sender();
    await until(() => tries.length === 1);
    expect(tries[0]?.outcome).toBe("delivered");
  });
});

describe("the webhook of an API key", () => {
  it("gets the ends of all its jobs, beside a job's own, and signs with both secrets after a rotation", async () => {
    const [own, ofKey] = [await receiver(), await receiver()];
    const key = await server.key({ webhook: { url: ofKey.url, events: ["completed", "failed"] } });
    const [, keyId = ""] = key.split("_");
    const [before = ""] = await secrets.valid(keyId);
    const after = await secrets.rotate(keyId, 60_000);
    expect(await secrets.valid(keyId)).toEqual([after, before]);
    await submit(key, { url: own.url });
    await server.finish("transcribe", DONE);
    sender();
    const [first] = await own.count(1);
    const [second] = await ofKey.count(1);
    expect(first?.headers["webhook-id"]).toBe(second?.headers["webhook-id"]);
    for (const one of [first, second]) for (const secret of [before, after]) verify(secret, one as Received);
    const later = openWebhookSecrets(server.redis, server.prefix, () => Date.now() + 61_000);
    expect(await later.valid(keyId)).toEqual([after]);
  });

  it("is that of the moment of sending, and none when the key is revoked", async () => {
    const [old, now] = [await receiver(), await receiver()];
    const key = await server.key({ webhook: { url: old.url } });
    const [, keyId = ""] = key.split("_");
    await submit(key);
    await server.finish("transcribe", DONE);
    await server.api.keys.setWebhook(keyId, { url: now.url });
    const { tries } = sender();
    await now.count(1);
    await submit(key);
    await server.api.keys.revoke(keyId);
    await server.finish("transcribe", DONE);
    await until(async () => (await outbox.figures()).pending === 0);
    expect(tries).toHaveLength(1);
    expect(old.received).toEqual([]);
  });
});

describe("several senders", () => {
  it("send each event once, and one that dies over it leaves it to the others", async () => {
    const target = await receiver();
    const key = await server.key();
    for (let count = 0; count < 30; count += 1) await submit(key, { url: target.url });
    for (let count = 0; count < 30; count += 1) await server.finish("transcribe", DONE);
    // Takes one and is never heard of again.
    const [lost] = await outbox.claim(1, 300);
    const senders = [sender(), sender(), sender()];
    await target.count(30);
    await until(async () => (await outbox.figures()).pending === 0);
    expect(new Set(target.received.map(({ headers }) => headers["webhook-id"])).size).toBe(30);
    expect(target.received).toHaveLength(30);
    expect(senders.flatMap(({ errors }) => errors)).toEqual([]);
    if (lost === undefined) throw new Error("nothing was due");
    expect(await outbox.settle(lost, { result: "delivered" })).toBe(false);
  });
});

describe("the address of a webhook", () => {
  it("is shown neither with the job nor with the key nor on Bull Board", async () => {
    const key = await server.key({ webhook: { url: "https://hooks.example/of-key/T0PSECRET" } });
    const id = await submit(key, { url: "https://hooks.example/of-job/T0PSECRET" });
    const pages = await Promise.all([
      server.request(`/v1/jobs/${id}`, { headers: { authorization: `Bearer ${key}` } }),
      server.request(`/jobs/${id}`),
      server.request("/board/api/queues?activeQueue=transcribe&status=prioritized&page=1&jobsPerPage=10"),
    ]);
    const texts = await Promise.all(pages.map(async (page) => await page.text()));
    expect(pages.map(({ status }) => status)).toEqual([200, 200, 200]);
    for (const text of texts) expect(text).toContain("talk.wav");
    for (const text of [...texts, JSON.stringify(await server.api.keys.list())]) {
      expect(text).not.toContain("T0PSECRET");
    }
    await server.jobs.cancel(id);
  });
});
