import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MirumojiError } from "../../src/job/errors.ts";
import { QUEUED_SUMMARY } from "../../src/job/summary.ts";
import { SECRET, startTestServer, type TestServer } from "../helpers/http/server.ts";

const login = (pair: string) => ({ authorization: `Basic ${Buffer.from(pair).toString("base64")}` });

describe("who is let in", () => {
  it("refuses to be open to the network without a login", async () => {
    await expect(startTestServer({ host: "0.0.0.0" })).rejects.toThrow(MirumojiError);
    await expect(startTestServer({ host: "127.evil.example" })).rejects.toThrow(/BOARD_USERS/u);
  });

  it("asks for the login everywhere but for health and metrics", async () => {
    await using server = await startTestServer({ users: "ann:first-secret,bob:second-secret" });
    const { id } = await server.jobs.submit("convert", { input: "film.mkv" });
    const guarded = ["/board", "/board/api/queues", "/api/jobs", `/jobs/${id}`, `/jobs/${id}/outputs/0`];
    for (const path of [...guarded, "/board/static/images/logo.svg"]) {
      expect((await server.request(path)).status, path).toBe(401);
    }
    for (const pair of [
      "ann:wrong",
      "ann:second-secret",
      "ann:",
      ":",
      "ann:first-secret,bob:second-secret",
    ]) {
      expect((await server.request("/board", { headers: login(pair) })).status, pair).toBe(401);
    }
    for (const pair of ["ann:first-secret", "bob:second-secret"]) {
      expect((await server.request("/board", { headers: login(pair) })).status, pair).toBe(200);
    }
    for (const path of ["/livez", "/readyz", "/metrics"]) {
      expect((await server.request(path)).status, path).toBe(200);
    }
  });
});

describe("a board that only shows", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(async () => await server[Symbol.asyncDispose]());

  it("names jobs by their file and state, and shows no secret", async () => {
    const { id } = await server.jobs.submit("transcribe", { input: "films/episode 1.mkv" });
    await server.redis.hset(
      server.keys("transcribe", id).job,
      "progress",
      JSON.stringify({
        ...QUEUED_SUMMARY,
        status: "running",
        state: "upload",
        states: [{ state: "createVolume", ms: 1200, attempts: 2 }],
        step: { doneBytes: 50, totalBytes: 100 },
      }),
    );
    await server.queues.convert.add("convert", {
      input: "x.mkv",
      apiToken: "tell-nobody",
      note: `see https://me:hidden-too@example.com/?signature=abcdef and ${SECRET}`,
    });
    await server.redis.rpush(server.keys("transcribe", id).logs, `upload: it said ${SECRET}`);
    const text = await (
      await server.request("/board/api/queues?activeQueue=transcribe&page=1&jobsPerPage=10")
    ).text();
    expect(text).toContain("episode 1.mkv · upload");
    expect(text).toContain('"progress":30');
    expect(text).toContain("1.2 s, 2 tries");
    expect(text).toContain(`/jobs/${id}`);
    const other = await (
      await server.request("/board/api/queues?activeQueue=convert&page=1&jobsPerPage=10")
    ).text();
    expect(other).toContain("x.mkv");
    const logs = await (await server.request(`/board/api/queues/transcribe/${id}/logs`)).text();
    const page = await (await server.request(`/jobs/${id}`)).text();
    for (const shown of [text, other, logs, page]) {
      expect(shown).not.toMatch(/tell-nobody|hidden-too|abcdef|correct-horse/u);
      expect(shown.length).toBeGreaterThan(20);
    }
  });

  it("changes nothing", async () => {
    const { id } = await server.jobs.submit("convert", { input: "film.mkv" });
    for (const path of [
      `/board/api/queues/convert/${id}/clean`,
      "/board/api/queues/convert/obliterate",
      "/board/api/queues/convert/pause",
      "/board/api/queues/pause",
    ]) {
      expect((await server.request(path, { method: "PUT" })).status, path).toBe(403);
    }
    expect((await server.request(`/jobs/${id}/cancel`, { method: "POST" })).status).toBe(403);
    expect(await server.jobs.get(id)).toMatchObject({ status: "queued" });
    expect(await server.queues.convert.isPaused()).toBe(false);
    expect(await (await server.request(`/jobs/${id}`)).text()).not.toContain("<button");
  });

  it("answers to no other name than this machine's, so that no web page can read along", async () => {
    const { request } = await import("node:http");
    const status = await new Promise((resolve, reject) => {
      const url = new URL("/api/jobs", server.http.apiUrl);
      request(url, { headers: { host: "rebound.example" } }, ({ statusCode }) => resolve(statusCode))
        .on("error", reject)
        .end();
    });
    expect(status).toBe(403);
  });
});

describe("a board that may change jobs", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ isWritable: true });
  });
  afterAll(async () => await server[Symbol.asyncDispose]());

  /** A job that was cancelled after it had begun, with all that such a life leaves in Redis. */
  async function endedJob(): Promise<string> {
    const { id } = await server.jobs.submit("convert", { input: "film.mkv" });
    const keys = server.keys("convert", id);
    await server.finish("convert", new Error("CANCELLED: cancelled on request"));
    await server.redis.hset(keys.job, {
      cancelRequestedAt: "1",
      progress: JSON.stringify({ ...QUEUED_SUMMARY, state: "cancelled", status: "cancelled" }),
    });
    await server.redis.hset(keys.checkpoint, "record", JSON.stringify({ state: "undo" }));
    expect(await server.jobs.get(id)).toMatchObject({ status: "cancelled" });
    return id;
  }

  it.each([
    ["one job", (id: string) => `/board/api/queues/convert/${id}/retry`],
    ["all that failed", () => "/board/api/queues/convert/retry/failed"],
  ])("gives %s another life the way the command does", async (_what, path) => {
    const id = await endedJob();
    const answer = await server.request(path(id), { method: "PUT" });
    expect(answer.status).toBeLessThan(300);
    expect(await server.jobs.get(id)).toMatchObject({ status: "queued", state: "queued" });
    const keys = server.keys("convert", id);
    expect(await server.redis.hmget(keys.job, "cancelRequestedAt", "progress")).toEqual([null, null]);
    expect(await server.redis.exists(keys.checkpoint)).toBe(0);
    await server.jobs.cancel(id);
  });

  it("blames callers whose retries come at once, all but one, and a wrong request", async () => {
    const id = await endedJob();
    const url = `/board/api/queues/convert/${id}/retry`;
    const answers = await Promise.all(
      Array.from({ length: 12 }, async () => (await server.request(url, { method: "PUT" })).status),
    );
    expect(answers.filter((status) => status < 300)).toHaveLength(1);
    expect(answers.filter((status) => status >= 500)).toEqual([]);
    await server.jobs.cancel(id);
    const body = JSON.stringify({ name: "convert", data: { nothing: true } });
    const add = { method: "POST", headers: { "content-type": "application/json" }, body };
    expect((await server.request("/board/api/queues/convert/add", add)).status).toBe(409);
  });

  it("cancels and retries from the job's page", async () => {
    const { id } = await server.jobs.submit("convert", { input: "film.mkv" });
    expect(await (await server.request(`/jobs/${id}`)).text()).toContain("Cancel this job");
    const form = { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" } };
    const answer = await server.request(`/jobs/${id}/cancel`, form);
    expect([answer.status, answer.headers.get("location")]).toEqual([303, `/jobs/${id}`]);
    expect(await server.jobs.get(id)).toMatchObject({ status: "cancelled" });
    expect(await (await server.request(`/jobs/${id}`)).text()).toContain("Retry this job");
    expect((await server.request(`/jobs/${id}/retry`, form)).status).toBe(303);
    expect(await server.jobs.get(id)).toMatchObject({ status: "queued" });
    expect((await server.request(`/jobs/${id}/retry`, form)).status).toBe(409);
    expect((await server.request("/jobs/nobody/cancel", form)).status).toBe(404);
  });

  it("takes changes from its own pages only", async () => {
    const { id } = await server.jobs.submit("convert", { input: "film.mkv" });
    const foreign: Record<string, string>[] = [
      { origin: "https://evil.example" },
      { origin: "null" },
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
    ];
    for (const headers of foreign) {
      for (const [method, path] of [
        ["POST", `/jobs/${id}/cancel`],
        ["PUT", "/board/api/queues/convert/pause"],
      ] as const) {
        expect((await server.request(path, { method, headers })).status).toBe(403);
      }
    }
    expect(await server.jobs.get(id)).toMatchObject({ status: "queued" });
    const headers = { origin: server.http.apiUrl };
    expect((await server.request(`/jobs/${id}/cancel`, { method: "POST", headers })).status).toBe(303);
  });

  it("refuses what would go behind the workers' back", async () => {
    const { id } = await server.jobs.submit("convert", { input: "film.mkv" });
    const json = { "content-type": "application/json" };
    const changes: [string, string, string?][] = [
      ["PUT", `/board/api/queues/convert/${id}/clean`],
      ["PUT", "/board/api/queues/convert/clean/wait"],
      ["PUT", "/board/api/queues/convert/empty"],
      ["PUT", "/board/api/queues/convert/obliterate", '{"force":true}'],
      ["PATCH", `/board/api/queues/convert/${id}/update-data`, '{"jobData":{"input":"/etc/passwd"}}'],
    ];
    for (const [method, path, body] of changes) {
      const answer = await server.request(
        path,
        body === undefined ? { method } : { method, body, headers: json },
      );
      expect(answer.status, path).toBe(403);
      expect(await answer.text()).toMatch(/finished jobs|behind the back/u);
    }
    expect((await server.queues.convert.getJob(id))?.data).toMatchObject({ input: "film.mkv" });
  });

  it("checks a job that is added like every producer's, and lets finished ones be removed", async () => {
    const add = async (data: object) =>
      await server.request("/board/api/queues/transcribe/add", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ name: "anything", data, options: {} }),
      });
    expect((await add({ input: "../outside.mkv" })).status).toBeGreaterThanOrEqual(400);
    expect((await server.queues.transcribe.getJobCounts())["waiting"]).toBe(0);
    expect((await add({ input: "fine.mkv" })).status).toBe(200);
    const [job] = await server.jobs.list({ limit: 1 });
    expect(job).toMatchObject({ type: "transcribe", input: "fine.mkv", status: "queued" });
    await server.jobs.cancel(job?.id ?? "");
    const removed = await server.request(`/board/api/queues/transcribe/${job?.id}/clean`, { method: "PUT" });
    expect(removed.status).toBe(204);
    await expect(server.jobs.get(job?.id ?? "")).rejects.toThrow(/there is no job/u);
  });

  it("shows what a job's page says to be text, whatever it is called", async () => {
    const { id } = await server.jobs.submit("convert", { input: "<script>alert(1)</script>.mkv" });
    const answer = await server.request(`/jobs/${id}`);
    const text = await answer.text();
    expect(text).toContain("&lt;script&gt;");
    expect(text).not.toContain("<script");
    expect(answer.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(await (await server.request("/jobs/%3Cb%3E")).text()).toContain("&lt;b&gt;");
  });
});
