import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdir, readFile, stat } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Upload } from "tus-js-client";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { cleanEnvironment } from "../../support/dev.ts";
import { programFile } from "../../support/programs.ts";
import { startTestServer, type TestServer } from "../helpers/http/server.ts";

const TUS = { "tus-resumable": "1.0.0" };
const FILM = randomBytes(300_000);

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

/** Uploads with the official client; gives the address of the upload. */
async function upload(key: string, apiUrl: string, filename: string, uploadUrl?: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const client = new Upload(FILM, {
      endpoint: `${apiUrl}/v1/uploads`,
      ...(uploadUrl === undefined ? {} : { uploadUrl }),
      headers: { authorization: `Bearer ${key}` },
      metadata: { filename },
      retryDelays: [],
      onError: reject,
      onSuccess: () => resolve(client.url ?? ""),
    });
    client.start();
  });
}

/** The file as jobs name it. */
function inputOf(url: string): string {
  return `uploads/${decodeURIComponent(url.split("/").at(-1) ?? "")}`;
}

describe("a resumable upload", () => {
  it.each([
    ["film.mkv", /-film\.mkv$/u],
    ["../../etc/パス wörd.MP4", /-パス_wörd\.MP4$/u],
    [".hidden", /-hidden$/u],
    ["a\u0000b\r\n<c>.wav", /-a_b_c_\.wav$/u],
    ["", /-file$/u],
  ])("by the official client ends below the media root: %j", async (name, pattern) => {
    const key = await server.key();
    const input = inputOf(await upload(key, server.http.apiUrl, name));
    expect(input).toMatch(pattern);
    expect(await readFile(join(server.mediaRoot, input))).toEqual(FILM);
    const { status } = await server.ask("POST", "/v1/jobs", {
      key,
      body: { type: "convert", request: { input } },
    });
    expect(status).toBe(201);
  });

  it("needs a key with the scope, stays within the limit, and belongs to its tenant", async () => {
    const make = async (key: string | undefined, bytes: number) =>
      await server.ask("POST", "/v1/uploads", {
        ...(key === undefined ? {} : { key }),
        headers: { ...TUS, "upload-length": String(bytes), "x-mirumoji-owner": "b" },
      });
    expect((await make(undefined, 10)).status).toBe(401);
    expect((await make(await server.key({ scopes: ["read"] }), 10)).status).toBe(403);
    const mine = await server.key({ tenant: "a" });
    const large = await server.request("/v1/uploads", {
      method: "POST",
      headers: { ...TUS, authorization: `Bearer ${mine}`, "upload-length": String(2 ** 20 + 1) },
    });
    expect(large.status).toBe(413);
    const made = await server.request("/v1/uploads", {
      method: "POST",
      headers: { ...TUS, authorization: `Bearer ${mine}`, "upload-length": "10", "x-mirumoji-owner": "b" },
    });
    expect(made.status).toBe(201);
    const path = made.headers.get("location") ?? "";
    const head = async (key: string) =>
      (await server.request(path, { method: "HEAD", headers: { ...TUS, authorization: `Bearer ${key}` } }))
        .status;
    expect(await head(mine)).toBe(200);
    expect(await head(await server.key({ tenant: "b" }))).toBe(404);
    expect(await head(await server.key())).toBe(200);
    expect(
      (
        await server.request("/v1/uploads/..%2f..%2fetc%2fpasswd", {
          method: "HEAD",
          headers: { ...TUS, authorization: `Bearer ${mine}` },
        })
      ).status,
    ).toBe(404);
  });

  it("that rests unfinished is removed, and one that is finished stays", async () => {
    await using short = await startTestServer({}, {}, { expiryMs: 300 });
    const key = await short.key();
    const done = inputOf(await upload(key, short.http.apiUrl, "done.wav"));
    const headers = { ...TUS, authorization: `Bearer ${key}`, "upload-length": "10" };
    await short.request("/v1/uploads", { method: "POST", headers });
    const names = async () =>
      (await readdir(join(short.mediaRoot, "uploads"), { recursive: true })).toSorted();
    await expect.poll(names, { timeout: 10_000 }).toEqual([".tus", done.slice("uploads/".length)]);
    expect(await readFile(join(short.mediaRoot, done))).toEqual(FILM);
  });

  it("goes on where it was after the process that serves it was killed", { timeout: 120_000 }, async () => {
    const key = await server.key();
    const first = await startApi();
    const made = await fetch(`${first.apiUrl}/v1/uploads`, {
      method: "POST",
      headers: {
        ...TUS,
        authorization: `Bearer ${key}`,
        "upload-length": String(FILM.length),
        "upload-metadata": `filename ${btoa("cut.mkv")}`,
      },
    });
    const location = made.headers.get("location") ?? "";
    const file = join(server.mediaRoot, inputOf(location));
    const half = httpRequest(`${first.apiUrl}${location}`, {
      method: "PATCH",
      headers: {
        ...TUS,
        authorization: `Bearer ${key}`,
        "upload-offset": "0",
        "content-type": "application/offset+octet-stream",
        "content-length": FILM.length,
      },
    });
    half.on("error", () => undefined);
    half.write(FILM.subarray(0, 120_000));
    await expect.poll(async () => (await stat(file)).size, { timeout: 20_000 }).toBe(120_000);
    first.child.kill("SIGKILL");
    await once(first.child, "exit");
    const second = await startApi();
    await upload(key, second.apiUrl, "cut.mkv", `${second.apiUrl}${location}`);
    expect(await readFile(file)).toEqual(FILM);
  });
});

async function startApi(): Promise<{ child: ChildProcess; apiUrl: string }> {
  const child = spawn(process.execPath, [programFile("mirumoji-worker"), "api", "--json"], {
    stdio: ["ignore", "pipe", "ignore"],
    env: cleanEnvironment({
      REDIS_URL: server.redisUrl,
      MIRUMOJI_QUEUE_PREFIX: server.prefix,
      HOST_MEDIA_PATH: server.mediaRoot,
      MIRUMOJI_HTTP_PORT: "0",
    }),
  });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  return { child, ...(JSON.parse(line) as { apiUrl: string }) };
}
