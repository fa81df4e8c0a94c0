import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { z } from "zod";
import { createClient, type Client } from "../src/index.ts";
import { testFolder } from "./folder.ts";
import { programFile } from "./programs.ts";

const repo = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
export const SAMPLE = repo("samples/hello-mirumoji.mp4");
/** Its first sentence, for tests that look at something else than the words. */
export const SHORT_SAMPLE = repo("samples/hello-short.mp4");

const readySchema = z.object({
  redisUrl: z.string(),
  serverUrl: z.string(),
  tokenId: z.string(),
  tokenSecret: z.string(),
  statsUrl: z.string(),
  apiUrl: z.string(),
  apiKey: z.string(),
  pageUrl: z.string(),
  boardUrl: z.string(),
  metricsUrl: z.string(),
  mediaRoot: z.string(),
});

export const statsSchema = z.object({
  volumes: z.object({
    live: z.number(),
    created: z.number(),
    deleted: z.number(),
    expired: z.number(),
    list: z.array(z.object({ id: z.string(), createdAt: z.number() })),
  }),
  calls: z.object({
    started: z.number(),
    running: z.number(),
    succeeded: z.number(),
    failed: z.number(),
    cancelled: z.number(),
    list: z.array(
      z.object({
        id: z.string(),
        function: z.string(),
        volumeId: z.string(),
        path: z.string(),
        status: z.string(),
      }),
    ),
  }),
  apps: z.object({ live: z.number(), created: z.number() }),
});
export type Stats = z.output<typeof statsSchema>;

/** Output and exit code of a command. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The services of `dev`, run as a user would run them, in a folder of their own. */
export interface DevServices extends AsyncDisposable {
  readonly ready: z.output<typeof readySchema>;
  readonly child: ChildProcess;
  readonly folder: string;
  readonly log: () => string;
  readonly client: Client;
  /** Puts a file into the media root; the short sample, unless it is given. */
  put(path: string, data?: string): Promise<void>;
  stats(): Promise<Stats>;
  /** Runs one of our commands in the same folder. */
  command(...args: string[]): Promise<CommandResult>;
  /** Sends SIGTERM, unless another signal is asked for, and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** Removes variables that would lead a test to services of this machine. */
export function cleanEnvironment(changes: Record<string, string> = {}): NodeJS.ProcessEnv {
  const foreign = /^(REDIS_URL|MODAL_|MIRUMOJI_|HOST_MEDIA_PATH|BOARD_|OTEL_)/u;
  return {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name))),
    ...changes,
  };
}

/** Runs one of our commands to its end. */
export async function runCommand(
  args: readonly string[],
  options: { cwd: string; env?: Record<string, string> },
): Promise<CommandResult> {
  return await new Promise((resolve) => {
    execFile(
      process.execPath,
      [programFile("mirumoji-worker"), ...args],
      { cwd: options.cwd, env: cleanEnvironment(options.env), maxBuffer: 1e8 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
        resolve({ code, stdout, stderr });
      },
    );
  });
}

/** Starts `dev --json` and waits until it is ready. `program`: the one that is shipped takes longer to load. */
export async function startDev(
  env: Record<string, string> = {},
  { home, program = programFile("mirumoji-worker") }: { home?: string; program?: string } = {},
): Promise<DevServices> {
  const folder =
    home === undefined ? await testFolder() : { path: home, [Symbol.asyncDispose]: async () => {} };
  const mediaRoot = join(folder.path, "media");
  await mkdir(mediaRoot, { recursive: true });
  const child = spawn(process.execPath, [program, "dev", "--json"], {
    cwd: folder.path,
    // Default folders for data and media, as a user has them; only the port may be taken.
    env: cleanEnvironment({ MIRUMOJI_HTTP_PORT: "0", ...env }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => {
    log += chunk.toString();
  });
  const exited = once(child, "exit");
  const line = await Promise.race([
    once(createInterface({ input: child.stdout }), "line").then(([text]) => String(text)),
    exited.then(() => {
      throw new Error(`dev ended before it was ready:\n${log}`);
    }),
  ]);
  const ready = readySchema.parse(JSON.parse(line));
  const client = await createClient({ redisUrl: ready.redisUrl });
  const stop = async (signal: NodeJS.Signals = "SIGTERM") => {
    child.kill(signal);
    const [code] = (await exited) as [number | null];
    return code;
  };
  return {
    ready,
    child,
    folder: folder.path,
    client,
    log: () => log,
    stop,
    async put(path, data) {
      const target = join(mediaRoot, path);
      await mkdir(dirname(target), { recursive: true });
      await (data === undefined ? copyFile(SHORT_SAMPLE, target) : writeFile(target, data));
    },
    async stats() {
      const response = await fetch(ready.statsUrl);
      expect(response.status).toBe(200);
      return statsSchema.parse(await response.json());
    },
    command: async (...args) => await runCommand(args, { cwd: folder.path, env }),
    async [Symbol.asyncDispose]() {
      await client.close();
      await stop();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Asserts that nothing lives on the server once every job is over. */
export async function expectNothingLeft(dev: DevServices): Promise<void> {
  const stats = await dev.stats();
  expect(stats.volumes.live, "volumes left").toBe(0);
  expect(stats.calls.running, "calls left").toBe(0);
}
