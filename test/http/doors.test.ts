import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loginLimit } from "../../src/http/login-limit.ts";
import { completed, SECRET, startTestServer, type TestServer } from "../helpers/http/server.ts";

const login = (pair: string) => ({ authorization: `Basic ${Buffer.from(pair).toString("base64")}` });

describe("a guesser of passwords", () => {
  it("is stopped after ten tries and counted, and does not lock out who was in before", async () => {
    await using server = await startTestServer({ users: "ann:first-secret,bob:second-secret" });
    const ask = async (pair: string) => (await server.request("/api/jobs", { headers: login(pair) })).status;
    expect(await ask("ann:first-secret")).toBe(200);
    const answers = [];
    for (let guess = 0; guess < 14; guess++) answers.push(await ask(`ann:${guess}`));
    expect(answers).toEqual([...Array<number>(10).fill(401), ...Array<number>(4).fill(429)]);
    const right = await server.request("/api/jobs", { headers: login("bob:second-secret") });
    // Else the right one would show among the wrong ones.
    expect([right.status, Number(right.headers.get("retry-after"))]).toEqual([429, expect.closeTo(30, -2)]);
    expect(await ask("ann:first-secret")).toBe(200);
    const metrics = await (await server.request("/metrics")).text();
    expect(metrics).toContain('mirumoji_login_failures_total{reason="wrong"} 10');
    expect(metrics).toContain('mirumoji_login_failures_total{reason="limited"} 5');
  });

  it("gets no further with many addresses, and starts anew with the next minute", () => {
    let now = 0;
    const limit = loginLimit(() => now);
    for (let address = 0; address < 100; address++) {
      expect(limit.blockedMs(String(address))).toBe(0);
      limit.refused(String(address));
    }
    expect(limit.blockedMs("another")).toBe(60_000);
    now = 60_000;
    expect(limit.blockedMs("another")).toBe(0);
  });
});

describe("every surface", () => {
  let server: TestServer;
  const paths: string[] = [];
  beforeAll(async () => {
    server = await startTestServer({}, { modal: async () => await Promise.resolve(`refused ${SECRET}`) });
    const url = "https://me:url-password@host/?signature=signed";
    const said = `${SECRET} ${url}`;
    const { id } = await server.jobs.submit("transcribe", { input: `${SECRET}/talk ${SECRET}.mkv` });
    await server.finish("transcribe", {
      ...completed([{ path: `${SECRET}.srt`, format: "srt", bytes: 1, sha256: "0".repeat(64) }]),
      state: said,
      states: [{ state: said, ms: 1, attempts: 1 }],
      step: { stage: said },
      error: { code: "UNEXPECTED", message: said },
      report: {
        engine: said,
        mediaSeconds: 1,
        gpuSeconds: 1,
        inputBytes: 1,
        sentBytes: 1,
        savedBytes: 0,
        audioOnly: false,
        tracks: [{ kind: "audio", number: 1, title: said, why: said }],
        warnings: [said],
      },
    });
    await server.redis.rpush(server.keys("transcribe", id).logs, said);
    const { id: failed } = await server.jobs.submit("convert", { input: `${SECRET}.mkv` });
    await server.finish("convert", new Error(said));
    for (const one of [id, failed]) paths.push(`/jobs/${one}`, `/api/jobs/${one}`, `/jobs/${one}/outputs/9`);
    paths.push(`/board/api/queues/transcribe/${id}/logs`, `/board/api/queues/transcribe/${id}`);
    for (const type of ["transcribe", "convert"]) {
      paths.push(`/board/api/queues?activeQueue=${type}&page=1&jobsPerPage=10`);
    }
    paths.push("/api/jobs", "/readyz", "/livez", "/metrics", "/board", "/docs/errors", "/docs/none");
    paths.push(`/jobs/${SECRET}`, `/api/jobs/${SECRET}`, "/", "/nowhere", "/%", "/board/static/none.js");
  });
  afterAll(async () => await server[Symbol.asyncDispose]());

  it("hides secrets, in titles and names too", async () => {
    for (const path of paths.filter((shown) => !shown.includes(SECRET))) {
      const text = await (await server.request(path)).text();
      expect(text, path).not.toMatch(new RegExp(`${SECRET}|url-password|=signed`, "u"));
    }
    for (const path of [`/jobs/${SECRET}`, `/api/jobs/${SECRET}`]) {
      expect(await (await server.request(path)).text()).not.toContain(SECRET);
    }
  });

  it("says what a browser may do with it", async () => {
    for (const path of paths) {
      const { headers } = await server.request(path);
      expect(headers.get("x-content-type-options"), path).toBe("nosniff");
      expect(headers.get("content-security-policy"), path).toMatch(/frame-ancestors 'none'/u);
      expect(headers.get("content-security-policy"), path).toMatch(/default-src '(none|self)'/u);
    }
  });
});
