import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Redis } from "ioredis";
import type { Fault } from "../../../src/gpu-host/faults.ts";
import type { GpuHostOptions } from "../../../src/gpu-host/host.ts";
import { cleanEnvironment, type Stats, statsSchema } from "../../../support/dev.ts";
import { programFile } from "../../../support/programs.ts";

/** Service in a separate process, which restarts at the same address with its data on disk. */
export interface Service extends AsyncDisposable {
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
  start(changes?: object): Promise<void>;
}

export interface RedisService extends Service {
  readonly url: string;
  readonly port: number;
}

export interface GpuHostService extends Service {
  readonly serverUrl: string;
  readonly port: number;
  readonly tokenId: string;
  readonly tokenSecret: string;
  stats(): Promise<Stats>;
  order(fault: Fault): Promise<void>;
  clearFaults(): Promise<void>;
}

/** A port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port was given");
  return address.port;
}

/** Runs one process at a time; what `launch` gives must be ready to serve. */
async function service(launch: (changes: object) => Promise<ChildProcess>): Promise<Service> {
  let child = await launch({});
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  };
  return {
    kill,
    async start(changes = {}) {
      child = await launch(changes);
    },
    [Symbol.asyncDispose]: kill,
  };
}

/** A Redis with an append-only file, as the documentation recommends it. */
export async function startRedis(folder: string): Promise<RedisService> {
  await mkdir(folder, { recursive: true });
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}`;
  const settings = ["--bind", "127.0.0.1", "--port", String(port), "--dir", folder, "--appendonly", "yes"];
  const base = await service(async () => {
    const child = spawn("redis-server", [...settings, "--save", ""], { stdio: "ignore" });
    const redis = new Redis(url, { retryStrategy: () => 20, maxRetriesPerRequest: null });
    redis.on("error", () => undefined);
    await redis.ping();
    redis.disconnect();
    return child;
  });
  return { ...base, url, port };
}

/** The GPU host, which is also the referee: it counts what was really made, started and left. */
export async function startHost(
  folder: string,
  options: Pick<GpuHostOptions, "maxConcurrentCalls" | "volumeTtlMs">,
): Promise<GpuHostService> {
  const [grpcPort, ...httpPorts] = [await freePort(), await freePort(), await freePort()];
  const token = { tokenId: "ak-crash", tokenSecret: "as-crash" };
  const settings = { dataDir: join(folder, "gpu-host"), adminFaults: true, grpcPort, httpPorts, ...token };
  let urls = { statsUrl: "", adminUrl: "" };
  const base = await service(async (changes) => {
    const args = [programFile("gpu-host"), JSON.stringify({ ...settings, ...options, ...changes })];
    const child = spawn(process.execPath, args, {
      stdio: ["ignore", "pipe", "inherit"],
      env: cleanEnvironment({ TMPDIR: folder }),
    });
    const [line] = await once(createInterface({ input: child.stdout }), "line");
    urls = JSON.parse(String(line)) as typeof urls;
    return child;
  });
  const ask = async (url: string, init: RequestInit = {}) => {
    const response = await fetch(url, init);
    if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
    return response;
  };
  return {
    ...base,
    ...token,
    serverUrl: `http://127.0.0.1:${grpcPort}`,
    port: grpcPort,
    stats: async () => statsSchema.parse(await (await ask(urls.statsUrl)).json()),
    order: async (fault) => {
      await ask(urls.adminUrl, { method: "POST", body: JSON.stringify(fault) });
    },
    clearFaults: async () => {
      await ask(urls.adminUrl, { method: "DELETE" });
    },
  };
}
