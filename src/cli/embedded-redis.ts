import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { programEnvironment } from "../config/child-environment.ts";
import { MirumojiError } from "../job/errors.ts";
import { connectRedis } from "../queue/connection.ts";

const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 10_000;

export interface EmbeddedRedis {
  /** With a password of its own; anybody on this machine could connect otherwise. */
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/**
 * Starts a `redis-server` child on loopback with its data (AOF) in `folder`. It runs in a process group
 * of its own, so that Ctrl-C reaches us first and jobs can be handed back before Redis stops; where the
 * system can do it, it dies with us whatever kills us.
 *
 * @throws MirumojiError `PROGRAM_MISSING` without redis-server, `REDIS_UNAVAILABLE` when it does not start
 */
export async function startEmbeddedRedis(options: { folder: string; port?: number }): Promise<EmbeddedRedis> {
  const folder = resolve(options.folder);
  await mkdir(folder, { recursive: true });
  const port = options.port ?? (await freePort());
  const password = randomBytes(18).toString("base64url");
  const child = spawnServer(folder);
  let output = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-4000);
  });
  const exited = once(child, "exit");
  // `once` rejects when the program cannot be started.
  exited.catch(() => undefined);
  child.stdin?.end(configuration({ folder, port, password }));
  const url = `redis://:${password}@127.0.0.1:${port}`;
  try {
    await Promise.race([
      waitForAnswer(url),
      exited.then(() => {
        throw new MirumojiError("REDIS_UNAVAILABLE", `redis-server ended at once:\n${output}`);
      }),
    ]);
  } catch (error) {
    child.kill("SIGKILL");
    throw startError(error);
  }
  return {
    url,
    pid: child.pid ?? 0,
    async stop() {
      child.kill("SIGTERM");
      const ended = await Promise.race([
        exited.then(() => true),
        sleep(STOP_TIMEOUT_MS, false, { ref: false }),
      ]);
      if (!ended) {
        child.kill("SIGKILL");
        await exited;
      }
    },
  };
}

function spawnServer(folder: string): ChildProcess {
  const stdio = ["pipe", "pipe", "inherit"] as const;
  const options = { cwd: folder, stdio: [...stdio], detached: true, env: programEnvironment() };
  const command = ["redis-server", "-"];
  return hasSetpriv()
    ? spawn("setpriv", ["--pdeathsig", "KILL", ...command], options)
    : spawn("redis-server", ["-"], options);
}

/** util-linux's setpriv can tie a child's life to ours. */
function hasSetpriv(): boolean {
  if (process.platform !== "linux") return false;
  return (
    spawnSync("setpriv", ["--pdeathsig", "KILL", "redis-server", "--version"], { stdio: "ignore" }).status ===
    0
  );
}

function configuration({
  folder,
  port,
  password,
}: {
  folder: string;
  port: number;
  password: string;
}): string {
  return [
    "bind 127.0.0.1",
    `port ${port}`,
    `requirepass ${password}`,
    `dir ${JSON.stringify(folder)}`,
    "appendonly yes",
    "appendfsync always",
    'save ""',
    "maxmemory-policy noeviction",
    "daemonize no",
    "",
  ].join("\n");
}

async function waitForAnswer(url: string): Promise<void> {
  const redis = connectRedis(url);
  redis.on("error", () => undefined);
  try {
    await Promise.race([
      redis.ping(),
      sleep(START_TIMEOUT_MS, undefined, { ref: false }).then(() => {
        throw new MirumojiError("REDIS_UNAVAILABLE", "redis-server did not answer in time");
      }),
    ]);
  } finally {
    redis.disconnect();
  }
}

function startError(error: unknown): MirumojiError {
  if (error instanceof MirumojiError) return error;
  return new MirumojiError(
    "PROGRAM_MISSING",
    "redis-server is not installed; install Debian's package redis-server",
    {
      cause: error,
    },
  );
}

/** A port that is free now. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port was given");
  return address.port;
}
