import fc from "fast-check";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseRange } from "../../src/http/send-output.ts";
import { createRedactor, redactValue } from "../../src/telemetry/redact.ts";
import { SECRET, startTestServer, type TestServer } from "../helpers/http/server.ts";

/** Requests of each kind; `FUZZ=10000` for a long run. */
const REQUESTS = Number(process.env["FUZZ"] ?? 1000);
const AT_ONCE = 16;

let server: TestServer;
let paths: string[];
const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
beforeAll(async () => {
  server = await startTestServer({ isWritable: true });
  const { id } = await server.jobs.submit("transcribe", { input: "film.mkv" });
  await server.queues.convert.add("anything", { "<script>": [SECRET, null, { v: -1 }] });
  paths = ["", "livez", "readyz", "metrics", "docs/errors", "api/jobs", `api/jobs/${id}`, `jobs/${id}`];
  paths.push(`jobs/${id}/outputs/0`, `jobs/${id}/cancel`, `jobs/${id}/retry`, "board", "board/api/queues");
  paths.push(`board/api/queues/transcribe/${id}`, `board/api/queues/transcribe/${id}/retry`, "v1/jobs");
});
afterAll(async () => {
  agent.destroy();
  await server[Symbol.asyncDispose]();
});

const piece = fc.oneof(
  fc.constantFrom("..", "%00", "%2e%2e%2f", "%", "%ff", "é", "\u{1F600}", "?limit=", "&", "//", "\\", SECRET),
  fc.string({ unit: "binary", maxLength: 30 }),
  fc.string({ maxLength: 300 }),
);
const headerValue = fc.string({ maxLength: 200 }).map((text) => text.replaceAll(/[^\x20-\x7e]/gu, ""));

async function ask(method: string, path: string, headers: Record<string, string>, body: string) {
  return await new Promise<number>((resolve, reject) => {
    const url = new URL(server.http.apiUrl);
    const options = { host: url.hostname, port: url.port, method, path: encodeURI(path), headers, agent };
    request(options, (response) => {
      response.resume().on("end", () => resolve(response.statusCode ?? 0));
    })
      .on("error", reject)
      .end(body);
  });
}

describe("whatever is asked of the HTTP port", () => {
  it("gets an answer that blames the caller", async () => {
    const asked = fc.sample(
      fc.record({
        method: fc.constantFrom("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
        path: fc.tuple(fc.nat(), fc.array(piece, { maxLength: 3 })),
        range: headerValue,
        type: fc.constantFrom("application/json", "application/x-www-form-urlencoded", "text/plain", "x"),
        authorization: headerValue,
        body: fc.oneof(fc.json(), fc.string({ unit: "binary", maxLength: 500 })),
      }),
      REQUESTS,
    );
    const wrong: string[] = [];
    let longest = 0;
    const lanes = Array.from({ length: AT_ONCE }, async () => {
      for (let one = asked.pop(); one !== undefined; one = asked.pop()) {
        const [base, more] = one.path;
        const path = `/${paths[base % paths.length] ?? ""}${more.join("/")}`;
        const { range, type, authorization, method, body } = one;
        const headers = {
          range,
          "content-type": type,
          authorization,
          "content-length": `${Buffer.byteLength(body)}`,
        };
        const began = performance.now();
        const status = await ask(method, path, headers, body).catch(String);
        longest = Math.max(longest, performance.now() - began);
        if (typeof status === "string" || status >= 500)
          wrong.push(`${status}: ${method} ${JSON.stringify(path)}`);
      }
    });
    await Promise.all(lanes);
    expect(wrong).toEqual([]);
    expect(longest).toBeLessThan(5000);
    expect((await server.request("/livez")).status).toBe(200);
  });

  it("need not be HTTP at all", async () => {
    const { hostname, port } = new URL(server.http.apiUrl);
    for (const bytes of fc.sample(fc.uint8Array({ maxLength: 2000 }), REQUESTS / 10)) {
      const socket = connect(Number(port), hostname).on("error", () => undefined);
      socket.resume().end(bytes);
      await once(socket, "close");
    }
    expect((await server.request("/livez")).status).toBe(200);
  });
});

describe("whatever comes to be shown", () => {
  it("is redacted without an error, and keeps no secret", () => {
    const redact = createRedactor([SECRET, "a.b*c"]);
    const value = fc.anything({ values: [fc.constantFrom(SECRET, `x${SECRET}`, "a.b*c"), fc.string()] });
    const holds = fc.property(value, (shown) => {
      expect(JSON.stringify(redactValue(shown, redact)) ?? "").not.toContain(SECRET);
    });
    fc.assert(holds, { numRuns: 10_000 });
  });

  it("is a part of the file, or none", () => {
    const header = fc.oneof(
      fc.string(),
      fc.tuple(fc.nat(), fc.nat()).map(([from, to]) => `bytes=${from}-${to}`),
      fc.stringMatching(/^bytes=\d{0,40}-\d{0,40}$/u),
    );
    const holds = fc.property(header, fc.nat({ max: 1000 }), (text, bytes) => {
      const range = parseRange(text, bytes);
      if (range === null || range === "unsatisfiable") return;
      expect(range.start).toBeGreaterThanOrEqual(0);
      expect(range.end).toBeLessThan(bytes);
      expect(range.start).toBeLessThanOrEqual(range.end);
    });
    fc.assert(holds, { numRuns: 10_000 });
  });
});
