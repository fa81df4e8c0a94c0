import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { type GpuHost, type GpuHostOptions, startGpuHost } from "../src/gpu-host/host.ts";
import { type Client, createClient } from "../src/index.ts";
import type { JobView } from "../src/job/summary.ts";
import { cleanEnvironment, type CommandResult, runCommand, SHORT_SAMPLE } from "./dev.ts";
import { testFolder } from "./folder.ts";
import { programFile } from "./programs.ts";
import { testRedis } from "./redis.ts";

/** A worker process that a test may kill. */
export interface WorkerProcess {
  readonly child: ChildProcess;
  /** Output of the process when it was ready. */
  readonly ready: { readonly apiUrl: string };
  readonly log: () => string;
  /** End of the process in epoch milliseconds; null while it runs. */
  readonly endedAt: () => number | null;
  /** Ends it with a signal and waits until it is gone; gives its exit code. */
  kill(signal: NodeJS.Signals): Promise<number | null>;
}

/** Redis and GPU host that outlive any worker, and workers as processes. */
export interface Stack extends AsyncDisposable {
  readonly host: GpuHost;
  readonly client: Client;
  readonly redisUrl: string;
  readonly mediaRoot: string;
  startWorker(env?: Record<string, string>): Promise<WorkerProcess>;
  /** The process that serves people and runs no jobs. */
  startApi(env?: Record<string, string>): Promise<WorkerProcess>;
  /** Runs one of our commands with the workers' settings. */
  command(args: readonly string[], env?: Record<string, string>): Promise<CommandResult>;
  /** Puts the sample into the media root under another name. */
  put(name: string): Promise<void>;
  /** Waits until the job is seen in a state, or fails after a while. */
  seen(id: string, matches: (job: JobView) => boolean): Promise<JobView>;
}

const SEEN_TIMEOUT_MS = 45_000;

/** Starts the stack. `hostOptions` override those of the GPU host. */
export async function startStack(hostOptions: Partial<GpuHostOptions> = {}): Promise<Stack> {
  const folder = await testFolder();
  const mediaRoot = join(folder.path, "media");
  await mkdir(mediaRoot);
  await copyFile(SHORT_SAMPLE, join(mediaRoot, "film.mp4"));
  const redis = await testRedis();
  const host = await startGpuHost({
    dataDir: join(folder.path, "gpu-host"),
    adminFaults: true,
    ...hostOptions,
  });
  const client = await createClient({ redisUrl: redis.url });
  const started: WorkerProcess[] = [];
  const settings = {
    REDIS_URL: redis.url,
    HOST_MEDIA_PATH: mediaRoot,
    MODAL_SERVER_URL: host.serverUrl,
    MODAL_TOKEN_ID: host.tokenId,
    MODAL_TOKEN_SECRET: host.tokenSecret,
    MIRUMOJI_HTTP_PORT: "0",
  };
  const seen: Stack["seen"] = async (id, matches) => {
    const deadline = Date.now() + SEEN_TIMEOUT_MS;
    for (;;) {
      const job = await client.get(id);
      if (matches(job)) return job;
      if (Date.now() > deadline) throw new Error(`never seen; the job is ${JSON.stringify(job)}`);
      await sleep(20);
    }
  };
  const start = async (command: "worker" | "api", env: Record<string, string>) => {
    const process = await startWorkerProcess(folder.path, { ...settings, ...env }, [
      programFile("mirumoji-worker"),
      command,
    ]);
    started.push(process);
    return process;
  };
  return {
    host,
    client,
    redisUrl: redis.url,
    mediaRoot,
    seen,
    command: async (args, env = {}) =>
      await runCommand(args, { cwd: folder.path, env: { ...settings, ...env } }),
    put: async (name) => await copyFile(SHORT_SAMPLE, join(mediaRoot, name)),
    startWorker: async (env = {}) => await start("worker", env),
    startApi: async (env = {}) => await start("api", env),
    async [Symbol.asyncDispose]() {
      await Promise.all(started.map(async (process) => await process.kill("SIGKILL")));
      await client.close();
      await host.close();
      await redis[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** A `worker` (or `api`) command with exactly these settings; ready when this returns. */
export async function startWorkerProcess(
  cwd: string,
  env: Record<string, string>,
  command: readonly string[] = [programFile("mirumoji-worker"), "worker"],
): Promise<WorkerProcess> {
  const child = spawn(process.execPath, [...command, "--json"], {
    cwd,
    env: cleanEnvironment(env),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => {
    log += chunk.toString();
  });
  let endedAt: number | null = null;
  child.once("exit", () => {
    endedAt = Date.now();
  });
  const exited = once(child, "exit") as Promise<[number | null]>;
  const line = await Promise.race([
    once(createInterface({ input: child.stdout }), "line").then(([text]) => String(text)),
    exited.then(() => {
      throw new Error(`${command.join(" ")} ended before it was ready:\n${log}`);
    }),
  ]);
  return {
    child,
    ready: JSON.parse(line) as WorkerProcess["ready"],
    log: () => log,
    endedAt: () => endedAt,
    async kill(signal) {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      const [code] = await exited;
      return code;
    },
  };
}
