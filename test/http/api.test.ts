import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type JobSummary, summarySchema } from "../../src/job/summary.ts";
import { completed, startTestServer, type TestServer } from "../helpers/http/server.ts";

/** The end of a job with everything that a report can hold. */
const reported = (outputs: JobSummary["outputs"]): JobSummary => ({
  ...completed(outputs),
  report: summarySchema.shape.report.unwrap().parse({
    engine: "test",
    mediaSeconds: 3,
    gpuSeconds: 1,
    inputBytes: 10,
    sentBytes: 10,
    warnings: ["one"],
    tracks: [{ kind: "audio", number: 1, codec: "aac", title: "Main", why: "the only one" }],
  }),
});
const sha256 = "0".repeat(64);
let server: TestServer;
let key: string;
beforeAll(async () => {
  server = await startTestServer();
  key = await server.key();
});
afterAll(async () => await server[Symbol.asyncDispose]());

async function submit(request: object, options: { key?: string; idempotencyKey?: string } = {}) {
  const { idempotencyKey } = options;
  return await server.ask("POST", "/v1/jobs", {
    key: options.key ?? key,
    body: { type: "convert", request },
    headers: idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey },
  });
}

const idOf = ({ json }: { json: unknown }) => (json as { id: string }).id;
const names = ({ json }: { json: unknown }) =>
  (json as { jobs: { input: string }[] }).jobs.map(({ input }) => input);

describe("a submit", () => {
  it("answers with the job as `status --json` prints it, and tells new from known", async () => {
    const first = await submit({ input: "a.mkv" }, { idempotencyKey: "once" });
    expect(first).toMatchObject({ status: 201, json: { type: "convert", status: "queued", input: "a.mkv" } });
    expect(first.headers.get("location")).toBe(`/v1/jobs/${idOf(first)}`);
    expect(first.json).toEqual(await server.jobs.get(idOf(first)));
    const again = await submit({ input: "a.mkv" }, { idempotencyKey: "once" });
    expect([again.status, idOf(again)]).toEqual([200, idOf(first)]);
    const other = await submit({ input: "b.mkv" }, { idempotencyKey: "once" });
    expect(other).toMatchObject({ status: 409, json: { code: "IDEMPOTENCY_CONFLICT" } });
  });

  it("is new for one of many that ask at the same moment", async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, async () => await submit({ input: "race.mkv" }, { idempotencyKey: "race" })),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(7);
    expect(new Set(answers.map(idOf)).size).toBe(1);
  });

  it.each<[string, unknown, number, string]>([
    ["an unknown field", { type: "convert", request: { input: "a", nix: 1 } }, 400, "REQUEST_INVALID"],
    ["no input", { type: "transcribe", request: {} }, 400, "REQUEST_INVALID"],
    ["another type", { type: "burn", request: { input: "a" } }, 400, "REQUEST_INVALID"],
    ["a path that leaves", { type: "convert", request: { input: "../a" } }, 400, "PATH_OUTSIDE_MEDIA_ROOT"],
    [
      "its input as output",
      { type: "convert", request: { input: "a", output: "a" } },
      409,
      "REQUEST_INVALID",
    ],
  ])("is refused with a problem that names %s", async (_what, body, status, code) => {
    const answer = await server.ask("POST", "/v1/jobs", { key, body });
    expect(answer).toMatchObject({ status, json: { status, code, type: `urn:mirumoji:error:${code}` } });
    expect(answer.headers.get("content-type")).toContain("application/problem+json");
  });

  it.each([
    ["no JSON", "{", "application/json", 400, "REQUEST_INVALID"],
    ["too much", JSON.stringify({ a: "x".repeat(2 ** 20) }), "application/json", 413, "BODY_TOO_LARGE"],
    ["something else", "a=b", "text/csv", 415, "MEDIA_TYPE_UNSUPPORTED"],
    ["plain text", "{}", "text/plain", 415, "MEDIA_TYPE_UNSUPPORTED"],
  ])("of %s is refused", async (_what, body, type, status, code) => {
    const headers = { authorization: `Bearer ${key}`, "content-type": type };
    const answer = await server.request("/v1/jobs", { method: "POST", body, headers });
    expect([answer.status, await answer.json()]).toMatchObject([status, { code }]);
  });
});

describe("a key", () => {
  it("is needed, and stops to count when it is revoked", async () => {
    expect(await server.ask("GET", "/v1/jobs")).toMatchObject({
      status: 401,
      json: { code: "UNAUTHENTICATED" },
    });
    const { key: made, secret } = await server.api.keys.create({
      name: "old",
      scopes: ["read"],
      tenant: null,
      requestsPerMinute: null,
    });
    expect((await server.ask("GET", "/v1/jobs", { key: secret })).status).toBe(200);
    expect((await server.api.keys.list()).find(({ id }) => id === made.id)?.lastUsedAt).toBeGreaterThan(0);
    expect(JSON.stringify(await server.redis.hgetall(`${server.prefix}:api:keys`))).not.toContain(
      secret.split("_").at(-1),
    );
    await server.api.keys.revoke(made.id);
    for (const wrong of [secret, `${key}x`, `${key.slice(0, -1)}_`, "mk_", ""]) {
      expect((await server.ask("GET", "/v1/jobs", { key: wrong })).status, wrong).toBe(401);
    }
  });

  it.each(["submit", "read", "operate"] as const)("with the scope %s alone does no more", async (scope) => {
    const { json } = await submit({ input: "scope.mkv" });
    const path = `/v1/jobs/${idOf({ json })}`;
    const own = await server.key({ scopes: [scope] });
    const answers = {
      submit: await submit({ input: "scope.mkv" }, { key: own }),
      read: await server.ask("GET", path, { key: own }),
      operate: await server.ask("POST", `${path}/cancel`, { key: own }),
    };
    for (const [name, answer] of Object.entries(answers)) {
      if (name === scope) expect(answer.status).toBeLessThan(300);
      else expect(answer).toMatchObject({ status: 403, json: { code: "SCOPE_MISSING" } });
    }
  });

  it("of a tenant sees and makes jobs of that tenant only", async () => {
    const [ann, bob] = [await server.key({ tenant: "ann" }), await server.key({ tenant: "bob" })];
    const made = await submit({ input: "ann.mkv" }, { key: ann, idempotencyKey: "same" });
    expect(made.json).toMatchObject({ tenant: "ann" });
    const others = await submit({ input: "bob.mkv" }, { key: bob, idempotencyKey: "same" });
    expect(others.status).toBe(201);
    for (const [method, path] of [
      ["GET", ""],
      ["GET", "/events"],
      ["POST", "/cancel"],
      ["POST", "/retry"],
      ["DELETE", ""],
    ] as const) {
      const answer = await server.ask(method, `/v1/jobs/${idOf(made)}${path}`, { key: bob });
      expect(answer, path).toMatchObject({ status: 404, json: { code: "JOB_NOT_FOUND" } });
    }
    expect(names(await server.ask("GET", "/v1/jobs", { key: bob }))).toEqual(["bob.mkv"]);
    expect(names(await server.ask("GET", "/v1/jobs?tenant=ann", { key: bob }))).toEqual([]);
    expect((await submit({ input: "x", tenant: "ann" }, { key: bob })).status).toBe(403);
  });

  it("of a tenant makes batches of that tenant, which nobody else sees", async () => {
    const [ann, bob] = [await server.key({ tenant: "ann" }), await server.key({ tenant: "bob" })];
    const items = [1, 2, 3].map((n) => ({ type: "convert", request: { input: `episode-${n}.mkv` } }));
    const post = async (of: string, body: object) =>
      await server.ask("POST", "/v1/batches", { key: of, body, headers: { "idempotency-key": "season" } });
    const made = await post(ann, { items });
    expect(made).toMatchObject({ status: 201, json: { status: "running", total: 3, tenant: "ann" } });
    const id = idOf(made);
    expect((await post(ann, { items })).status).toBe(200);
    expect(idOf(await post(bob, { items }))).not.toBe(id);
    expect(await server.jobs.get(`${id}-2`)).toMatchObject({ tenant: "ann", input: "episode-3.mkv" });
    const wrong = [...items, { type: "convert", request: { input: "x", crf: 99 } }];
    expect(await post(ann, { items: wrong })).toMatchObject({
      status: 409,
      json: { code: "REQUEST_INVALID" },
    });
    for (const [method, path] of [
      ["GET", ""],
      ["POST", "/cancel"],
      ["POST", "/retry"],
    ] as const) {
      const answer = await server.ask(method, `/v1/batches/${id}${path}`, { key: bob });
      expect(answer, path).toMatchObject({ status: 404, json: { code: "BATCH_NOT_FOUND" } });
    }
    const cancelled = await server.ask("POST", `/v1/batches/${id}/cancel`, { key: ann });
    expect(cancelled).toMatchObject({ status: 202, json: { id, jobs: 3 } });
    const ended = await server.ask("GET", `/v1/batches/${id}`, { key: ann });
    expect(ended.json).toMatchObject({ status: "cancelled", cancelled: 3 });
  });

  it("makes as many requests a minute as it may", async () => {
    const slow = await server.key({ requestsPerMinute: 2 });
    const statuses = [];
    for (let n = 0; n < 3; n += 1) statuses.push((await server.ask("GET", "/v1/jobs", { key: slow })).status);
    expect(statuses).toEqual([200, 200, 429]);
    const refused = await server.ask("GET", "/v1/jobs", { key: slow });
    expect(refused.json).toMatchObject({ code: "RATE_LIMITED" });
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await server.ask("GET", "/v1/jobs", { key })).status).toBe(200);
  });

  it("leaves its name in the audit log with what it changed", async () => {
    const made = await submit({ input: "audited.mkv" });
    const path = `/v1/jobs/${idOf(made)}`;
    await server.ask("POST", `${path}/retry`, { key });
    await server.ask("POST", `${path}/cancel`, { key });
    await expect
      .poll(async () => (await server.api.audit.read(3)).map(({ action, result }) => [action, result]))
      .toEqual([
        ["job.cancel", "done"],
        ["job.retry", "JOB_NOT_RETRYABLE"],
        ["job.submit", "done"],
      ]);
    expect(await server.api.audit.read(1)).toMatchObject([
      { name: "test", address: "127.0.0.1", target: idOf(made) },
    ]);
  });
});

describe("the list", () => {
  it("gives every job once, page by page, by whatever it is asked for", async () => {
    const inputs = Array.from({ length: 7 }, (_, n) => `season/${n}.mkv`);
    for (const [n, input] of inputs.entries())
      await submit({ input, tags: n % 2 === 0 ? ["even"] : ["odd"] });
    // Another program's job, which never went through our submit.
    const foreign = await server.queues.transcribe.add("transcribe", {
      v: 1,
      input: "season/foreign.mkv",
      tags: ["odd"],
    });
    const seen: string[] = [];
    for (let cursor = ""; ;) {
      const page = await server.ask("GET", `/v1/jobs?search=SEASON&limit=3${cursor}`, { key });
      seen.push(...names(page));
      const { nextCursor } = page.json as { nextCursor: string | null };
      if (nextCursor === null) break;
      cursor = `&cursor=${encodeURIComponent(nextCursor)}`;
    }
    expect(seen).toEqual(["season/foreign.mkv", ...inputs.toReversed()]);
    const asked = async (query: string) => names(await server.ask("GET", `/v1/jobs?${query}`, { key }));
    expect(await asked("tag=odd")).toEqual(
      [5, 3, 1].map((n) => `season/${n}.mkv`).toSpliced(0, 0, "season/foreign.mkv"),
    );
    expect(await asked("search=season&type=transcribe")).toEqual(["season/foreign.mkv"]);
    expect(await asked("search=season&status=completed&status=failed")).toEqual([]);
    expect(await asked(`search=season&since=${Date.now() + 60_000}`)).toEqual([]);
    expect(await asked("search=season&before=5")).toEqual([]);
    expect((await server.ask("GET", "/v1/jobs?cursor=nonsense", { key })).status).toBe(400);
    await foreign.remove();
    expect(await asked("search=season&type=transcribe")).toEqual([]);
  });

  it("forgets a job that is deleted, once it is over", async () => {
    const made = await submit({ input: "gone.mkv", tags: ["gone"] });
    const path = `/v1/jobs/${idOf(made)}`;
    expect(await server.ask("DELETE", path, { key })).toMatchObject({
      status: 409,
      json: { code: "JOB_NOT_FINISHED" },
    });
    await server.ask("POST", `${path}/cancel`, { key });
    expect((await server.ask("DELETE", path, { key })).status).toBe(204);
    expect((await server.ask("GET", path, { key })).status).toBe(404);
    expect(names(await server.ask("GET", "/v1/jobs?tag=gone", { key }))).toEqual([]);
  });
});

describe("the routes", () => {
  it("are found behind a prefix and without it, and say of themselves what they are", async () => {
    await using behind = await startTestServer({ prefix: "/mirumoji", trustedProxies: ["127.0.0.1"] });
    const own = await behind.key();
    expect(behind.http.apiUrl).toMatch(/\/mirumoji$/u);
    const { origin } = new URL(behind.http.apiUrl);
    for (const url of [`${origin}/mirumoji/v1/jobs`, `${origin}/v1/jobs`]) {
      const answer = await fetch(url, {
        method: "POST",
        headers: {
          authorization: `Bearer ${own}`,
          "content-type": "application/json",
          "x-forwarded-for": "203.0.113.7",
        },
        body: JSON.stringify({ type: "convert", request: { input: "a.mkv" } }),
      });
      expect([answer.status, answer.headers.get("location")]).toEqual([
        201,
        expect.stringMatching(/^\/mirumoji\/v1\/jobs\//u),
      ]);
    }
    const document = (await (await fetch(`${origin}/mirumoji/openapi.json`)).json()) as object;
    expect(document).toMatchObject({ openapi: "3.1.0", servers: [{ url: "/mirumoji" }] });
    await expect.poll(async () => (await behind.api.audit.read(1))[0]?.address).toBe("203.0.113.7");
    expect((await fetch(`${origin}/mirumoji/board`)).status).toBe(200);
  });

  it("answer with a problem where there is nothing, or not with this method", async () => {
    expect(await server.ask("GET", "/v1/nothing")).toMatchObject({
      status: 404,
      json: { code: "ROUTE_NOT_FOUND" },
    });
    const answer = await server.ask("PATCH", "/v1/jobs/x", { body: {} });
    expect(answer).toMatchObject({ status: 405, json: { code: "METHOD_NOT_ALLOWED" } });
    expect(answer.headers.get("allow")).toBe("GET, HEAD, DELETE");
    const unreadable = await server.ask("GET", "/v1/jobs/%E0%A4%A");
    expect(unreadable).toMatchObject({ status: 400, json: { code: "REQUEST_INVALID", status: 400 } });
  });

  it("serve a transcript in any format, outputs with ranges, and nothing of a job that is not over", async () => {
    await server.put(
      "talk.json",
      JSON.stringify({
        v: 1,
        language: "en",
        engine: "x",
        segments: [{ start: 1, end: 2.5, text: "Hello there." }],
      }),
    );
    await server.put("talk.srt", "1\n00:00:01,000 --> 00:00:02,500\nHello there.\n");
    const { id } = await server.jobs.submit("transcribe", { input: "talk.mkv", formats: ["srt", "json"] });
    expect(await server.ask("GET", `/v1/jobs/${id}/transcript`, { key })).toMatchObject({
      status: 409,
      json: { code: "JOB_NOT_FINISHED" },
    });
    await server.finish(
      "transcribe",
      reported([
        { path: "talk.srt", format: "srt", bytes: 45, sha256 },
        { path: "talk.json", format: "json", bytes: 100, sha256 },
      ]),
    );
    expect(await server.ask("GET", `/v1/jobs/${id}`, { key })).toMatchObject({
      status: 200,
      json: { status: "completed", report: { engine: "test" } },
    });
    const read = async (path: string, headers = {}) => {
      const answer = await server.request(`/v1/jobs/${id}/${path}`, {
        headers: { authorization: `Bearer ${key}`, ...headers },
      });
      return [answer.status, await answer.text()] as const;
    };
    expect(await read("transcript?format=srt")).toEqual([
      200,
      "1\n00:00:01,000 --> 00:00:02,500\nHello there.\n",
    ]);
    expect((await read("transcript?format=vtt"))[1]).toContain("WEBVTT");
    expect(await read("transcript?format=txt")).toEqual([200, "Hello there.\n"]);
    expect(await read("outputs/0", { range: "bytes=0-1" })).toEqual([206, "1\n"]);
    expect((await read("outputs/0", { range: "bytes=100-" }))[0]).toBe(416);
    expect((await read("outputs/5"))[0]).toBe(404);
  });
});
