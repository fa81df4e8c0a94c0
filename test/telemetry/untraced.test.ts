import { Redis } from "ioredis";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { startCollector } from "../helpers/telemetry/collector.ts";
import { cleanEnvironment } from "../../support/dev.ts";
import { type Stack, startStack } from "../../support/stack.ts";
import { root } from "../helpers/repo/sandbox.ts";

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(async () => await stack[Symbol.asyncDispose]());

const handler = { MIRUMOJI_HANDLER: join(root, "support/handler.py") };
const built = (name: string) => JSON.stringify(pathToFileURL(join(root, "dist", name)).href);

/** A program with a producer and a worker in it: runs a job and tells which of OpenTelemetry's modules it has loaded. */
const PROGRAM = `
  import { createRequire } from "node:module";
  const { createClient } = await import(${built("index.js")});
  const { startWorker } = await import(${built("worker.js")});
  const worker = await startWorker(process.env);
  const client = await createClient({ redisUrl: process.env.REDIS_URL });
  const { id } = await client.submit("transcribe", { input: "film.mp4", language: "en", overwrite: true });
  const { status } = await client.wait(id, { pollMs: 50 });
  const loaded = Object.keys(createRequire(import.meta.url).cache);
  const modules = loaded.flatMap((path) => /@opentelemetry\\/([a-z-]+)/.exec(path)?.[1] ?? []);
  console.log(JSON.stringify({ id, status, modules: [...new Set(modules)].sort() }));
  await client.close();
  await worker.stop();
  process.exit();`;
const toldSchema = z.object({ id: z.string(), status: z.string(), modules: z.array(z.string()) });

/** Runs a program; not while this process stands still, for the GPU host and the collector are in it. */
async function execute(program: string, env: Record<string, string>) {
  return await new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    const args = ["--input-type=module", "-e", program];
    const child = execFile(
      process.execPath,
      args,
      { env: cleanEnvironment(env) },
      (_error, stdout, stderr) => {
        resolve({ code: child.exitCode ?? -1, stdout, stderr });
      },
    );
  });
}

/** Runs it and reads the job's keys in Redis afterwards. */
async function run(env: Record<string, string>) {
  const settings = {
    REDIS_URL: stack.redisUrl,
    HOST_MEDIA_PATH: stack.mediaRoot,
    MODAL_SERVER_URL: stack.host.serverUrl,
    MODAL_TOKEN_ID: stack.host.tokenId,
    MODAL_TOKEN_SECRET: stack.host.tokenSecret,
    MIRUMOJI_LOGGING_LEVEL: "warn",
  };
  const child = await execute(PROGRAM, { ...settings, ...handler, ...env });
  expect(child.code, child.stderr).toBe(0);
  const told = toldSchema.parse(JSON.parse(child.stdout));
  const redis = new Redis(stack.redisUrl);
  const job = await redis.hgetall(`{mirumoji}:transcribe:${told.id}`);
  redis.disconnect();
  return { ...told, stderr: child.stderr, fields: Object.keys(job), options: job["opts"] ?? "" };
}

describe("without an endpoint", () => {
  it.each([
    ["none is set", {}],
    ["it is empty, as compose files leave things out", { OTEL_EXPORTER_OTLP_ENDPOINT: "" }],
    ["it is turned off", { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1", OTEL_SDK_DISABLED: "true" }],
  ])("no SDK is loaded and nothing is written into the job: %s", async (_why, env) => {
    const { status, modules, fields, options } = await run(env);
    expect(status).toBe("completed");
    // prom-client brings the API, which does nothing by itself.
    expect(modules.filter((name) => name !== "api")).toEqual([]);
    expect(fields.length).toBeGreaterThan(5);
    expect(fields).not.toContain("mirumojiTrace");
    expect(JSON.parse(options)).not.toHaveProperty("tm");
  });
});

describe("a collector", () => {
  it("gets protobuf from a program that has no command of ours", async () => {
    await using collector = await startCollector();
    const { status, modules, options } = await run({ OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/` });
    expect(status).toBe("completed");
    expect(modules).toContain("sdk-trace");
    expect(JSON.parse(options)).toHaveProperty("tm");
    expect(collector.requests.length).toBeGreaterThan(0);
    for (const { type } of collector.requests) expect(type).toBe("application/x-protobuf");
    const sent = Buffer.concat(collector.requests.map(({ body }) => body)).toString("latin1");
    for (const name of ["add transcribe", "createVolume", "complete transcribe", "mirumoji-worker"]) {
      expect(sent).toContain(name);
    }
  });

  it.each([
    ["refuses", async () => ({ url: "http://127.0.0.1:1", [Symbol.asyncDispose]: async () => {} })],
    ["never answers", async () => await startCollector({ mute: true })],
  ] as const)("that %s costs no job anything, and stopping only its bound", async (_how, start) => {
    await using dead = await start();
    const env = { ...handler, OTEL_EXPORTER_OTLP_ENDPOINT: dead.url, OTEL_BSP_SCHEDULE_DELAY: "50" };
    const worker = await stack.startWorker(env);
    await stack.put("plain.mp4");
    const timed = async (input: string, settings: Record<string, string>) => {
      const args = ["submit", "transcribe", input, "--language", "en", "--overwrite", "--json"];
      const startedAt = performance.now();
      const { code, stdout } = await stack.command(args, settings);
      return { code, stdout, ms: performance.now() - startedAt };
    };
    const [plain, submitted] = await Promise.all([timed("plain.mp4", {}), timed("film.mp4", env)]);
    const moreMs = submitted.ms - plain.ms;
    expect(submitted.code).toBe(0);
    const { id } = JSON.parse(submitted.stdout) as { id: string };
    expect(await stack.client.wait(id, { pollMs: 50 })).toMatchObject({ status: "completed", error: null });
    const problems = () =>
      worker
        .log()
        .split("\n")
        .filter((line) => line.includes("traces cannot be sent"));
    await expect.poll(() => problems().length, { timeout: 15_000 }).toBe(1);
    const stoppedAt = performance.now();
    expect(await worker.kill("SIGTERM")).toBe(0);
    const stopMs = performance.now() - stoppedAt;
    console.info({ moreMs: Math.round(moreMs), stopMs: Math.round(stopMs) });
    // Bounds of 2 and 5 s, and what a busy machine adds.
    expect(moreMs).toBeLessThan(8000);
    expect(stopMs).toBeLessThan(12_000);
    expect(problems()).toHaveLength(1);
  });

  it("that is set wrong stops a command with the variable's name, but no program that imports us", async () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" };
    const refused = await stack.command(["submit", "transcribe", "film.mp4"], env);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(/OTEL_EXPORTER_OTLP_PROTOCOL got "grpc": must be http\/protobuf/u);
    const program = `
      const { createClient } = await import(${built("index.js")});
      const client = await createClient({ redisUrl: ${JSON.stringify(stack.redisUrl)} });
      console.log((await client.list({ limit: 1 })).length);
      await client.close();`;
    const child = await execute(program, env);
    expect([child.code, child.stdout.trim()], child.stderr).toEqual([0, "1"]);
    expect(child.stderr).toMatch(/MirumojiWarning: no traces: OTEL_EXPORTER_OTLP_PROTOCOL/u);
  });
});
