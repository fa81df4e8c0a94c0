import { Redis } from "ioredis";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, it } from "vitest";
import { openPoolPause } from "../../src/queue/pool-pause.ts";
import { cleanEnvironment, runCommand, startDev } from "../../support/dev.ts";
import { programFile } from "../../support/programs.ts";
import { testFolder } from "../../support/folder.ts";
import { testRedis } from "../../support/redis.ts";

/** Runs one of the long-lived commands until the end of the scope. */
async function start(command: string, env: Record<string, string>, cwd: string) {
  const child = spawn(process.execPath, [programFile("mirumoji-worker"), command, "--json"], {
    cwd,
    env: cleanEnvironment({ MIRUMOJI_HTTP_PORT: "0", ...env }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => {
    log += chunk.toString();
  });
  const exited = once(child, "exit") as Promise<[number | null]>;
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdout }), "line") as Promise<[string]>,
    exited.then(() => {
      throw new Error(`${command} ended before it was ready:\n${log}`);
    }),
  ]);
  return {
    child,
    ready: JSON.parse(line) as { apiUrl: string; boardUrl: string },
    log: () => log,
    lines: () =>
      log
        .split("\n")
        .filter((text) => text.startsWith("{"))
        .map((text) => JSON.parse(text) as Record<string, unknown>),
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null) child.kill("SIGTERM");
      expect((await exited)[0]).toBe(0);
    },
  };
}

describe("api", () => {
  it("serves people and probes, runs no job, and tells when Redis is gone", async () => {
    await using folder = await testFolder();
    const redis = await testRedis();
    const env = { REDIS_URL: redis.url };
    await using api = await start("api", env, folder.path);
    const submitted = await runCommand(["submit", "convert", "a.mkv", "--json"], { cwd: folder.path, env });
    const { id } = JSON.parse(submitted.stdout) as { id: string };
    const get = async (path: string) => await fetch(new URL(path, api.ready.apiUrl));
    expect(await (await get(`/api/jobs/${id}`)).json()).toMatchObject({ status: "queued" });
    expect((await get("/board")).status).toBe(200);
    expect(await (await get(`/jobs/${id}`)).text()).toContain("a.mkv");
    expect(await (await get("/metrics")).text()).toContain("# TYPE");

    const connection = new Redis(redis.url);
    await openPoolPause(connection, "{mirumoji}").extend(
      { code: "MODAL_UNAVAILABLE", message: "away" },
      30_000,
    );
    connection.disconnect();
    const status = await runCommand(["status", id, "--json"], { cwd: folder.path, env });
    expect(status.stderr).toMatch(/^no worker takes jobs since 20.*Z: MODAL_UNAVAILABLE: away\n/u);
    expect(JSON.parse(status.stdout)).toMatchObject({ status: "queued" });

    const health = ["health", "--url", api.ready.apiUrl];
    const well = await runCommand(health, { cwd: folder.path });
    expect([well.code, well.stdout]).toEqual([0, "well\nredis      ok\n"]);
    await redis[Symbol.asyncDispose]();
    const ill = await runCommand([...health, "--json"], { cwd: folder.path });
    expect(ill.code).toBe(1);
    expect(JSON.parse(ill.stdout)).toMatchObject({
      ok: false,
      checks: { redis: expect.any(String) as string },
    });
    expect((await runCommand([...health, "--live"], { cwd: folder.path })).code).toBe(0);
  });

  it("does not start open to the network", async () => {
    await using folder = await testFolder();
    await using redis = await testRedis();
    const env = { REDIS_URL: redis.url, MIRUMOJI_HTTP_HOST: "0.0.0.0", MIRUMOJI_HTTP_PORT: "0" };
    const { code, stderr } = await runCommand(["api"], { cwd: folder.path, env });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^CONFIG_INVALID: .*BOARD_USERS/mu);
  });
});

describe("the port of health and metrics", () => {
  it("is a free one when somebody has it, unless it was asked for", async () => {
    await using folder = await testFolder();
    await using redis = await testRedis();
    // Taken by this test, or by whoever has it on this machine.
    const other = createServer().on("error", () => undefined);
    other.listen(9464, "127.0.0.1");
    const file = join(folder.path, "redis-url");
    await writeFile(file, `${redis.url}\n`);
    const env = { REDIS_URL_FILE: file, MIRUMOJI_HTTP_PORT: "" };
    await using api = await start("api", env, folder.path);
    expect(api.log()).toMatch(/port 9464 is taken/u);
    expect((await fetch(new URL("/readyz", api.ready.apiUrl))).status).toBe(200);
    const asked = { ...env, MIRUMOJI_HTTP_PORT: "9464" };
    const { code, stderr } = await runCommand(["api"], { cwd: folder.path, env: asked });
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^CONFIG_INVALID: MIRUMOJI_HTTP_PORT/mu)]);
    other.close();
  });
});

describe("health", () => {
  it("fails where nothing answers", async () => {
    await using folder = await testFolder();
    const { code, stdout } = await runCommand(["health", "--url", "http://127.0.0.1:1"], {
      cwd: folder.path,
    });
    expect(code).toBe(1);
    expect(stdout).toMatch(/^not well\nhttp +nothing of ours answers at http:\/\/127\.0\.0\.1:1\/readyz/u);
  });
});

describe("the health of a running pool", () => {
  it("is well, and so is its GPU host", async () => {
    await using dev = await startDev();
    const { apiUrl, serverUrl, tokenId, tokenSecret } = dev.ready;
    const pool = await dev.command("health", "--url", apiUrl, "--json");
    expect(pool.code, pool.stdout).toBe(0);
    expect(JSON.parse(pool.stdout)).toEqual({
      ok: true,
      checks: { redis: null, consumers: null, intake: null, modal: null, disk: null, draining: null },
    });
    const ask = async (secret: string) =>
      await runCommand(["health", "--modal"], {
        cwd: dev.folder,
        env: { MODAL_SERVER_URL: serverUrl, MODAL_TOKEN_ID: tokenId, MODAL_TOKEN_SECRET: secret },
      });
    expect(await ask(tokenSecret)).toMatchObject({ code: 0, stdout: "well\nmodal      ok\n" });
    expect(await ask("as-wrong")).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^not well/u) as string,
    });
  });
});

describe("the log", () => {
  it("changes its level on SIGUSR2 and back", async () => {
    await using folder = await testFolder();
    await using redis = await testRedis();
    await using api = await start(
      "api",
      { REDIS_URL: redis.url, MIRUMOJI_LOGGING_LEVEL: "warn" },
      folder.path,
    );
    api.child.kill("SIGUSR2");
    await expect.poll(() => api.log()).toMatch(/log level is now debug/u);
    api.child.kill("SIGUSR2");
    await expect.poll(() => api.log()).toMatch(/log level is now warn/u);
  });

  it("says every change of a job's state once, with everything needed to follow it", async () => {
    await using dev = await startDev();
    await dev.put("film.mp4");
    const { id } = await dev.client.submit("transcribe", { input: "film.mp4", language: "en" });
    expect(await dev.client.wait(id)).toMatchObject({ status: "completed" });
    const lines = dev
      .log()
      .split("\n")
      .filter((text) => text.startsWith("{"))
      .map((text) => JSON.parse(text) as Record<string, unknown>);
    const moves = lines.filter((line) => line["jobId"] === id && line["event"] === "job.moved");
    const states = ["createVolume", "upload", "call", "download", "deleteVolume", "completed"];
    expect(moves.map(({ from, to }) => [from, to])).toEqual(
      states.slice(1).map((state, index) => [states[index], state]),
    );
    for (const move of moves) {
      expect(move).toMatchObject({
        type: "transcribe",
        attempt: 1,
        volumeId: expect.stringMatching(/^vo-/u) as string,
      });
      expect(move["ms"]).toBeTypeOf("number");
    }
    expect(moves.at(-1)).toMatchObject({ callId: expect.stringMatching(/^fc-/u) as string });
    expect(dev.log()).not.toContain(dev.ready.tokenSecret);
  });
});
