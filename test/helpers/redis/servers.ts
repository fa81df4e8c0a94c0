import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Redis, type RedisOptions } from "ioredis";
import { freePort } from "../crash/services.ts";

/** A redis-server process of any kind. */
export interface RedisNode extends AsyncDisposable {
  readonly port: number;
  /** For set-up and questions behind the back of the product. */
  readonly admin: Redis;
  kill(signal: NodeJS.Signals): Promise<void>;
}

interface NodeOptions {
  readonly port?: number;
  /** Lines of its configuration file. */
  readonly lines?: readonly string[];
  readonly mode?: "--sentinel";
  /** Serves TLS alone, and is asked with this. */
  readonly tls?: RedisOptions["tls"];
}

/** Starts a server with its files in a folder of its own below `folder`; ready when this returns. */
export async function startNode(folder: string, options: NodeOptions = {}): Promise<RedisNode> {
  const port = options.port ?? (await freePort());
  const home = join(folder, `redis-${port}`);
  await mkdir(home, { recursive: true });
  const file = join(home, "redis.conf");
  const lines = ["bind 127.0.0.1", `dir ${home}`, 'save ""', ...(options.lines ?? [])];
  await writeFile(
    file,
    [...(options.tls === undefined ? [`port ${port}`] : ["port 0", `tls-port ${port}`]), ...lines].join("\n"),
  );
  const child = spawn("redis-server", [file, ...(options.mode === undefined ? [] : [options.mode])], {
    stdio: "ignore",
  });
  const exited = once(child, "exit");
  const admin = new Redis({
    host: "127.0.0.1",
    port,
    retryStrategy: () => 20,
    maxRetriesPerRequest: null,
    ...(options.tls === undefined ? {} : { tls: options.tls }),
  });
  admin.on("error", () => undefined);
  await admin.ping();
  const kill = async (signal: NodeJS.Signals) => {
    admin.disconnect();
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await exited;
  };
  return { port, admin, kill, [Symbol.asyncDispose]: async () => await kill("SIGKILL") };
}

/** Two servers, one of them a replica that has caught up, with an append-only file each. */
export async function startPair(folder: string, lines: readonly string[] = []) {
  const durable = ["appendonly yes", "appendfsync everysec", "repl-diskless-sync-delay 0", ...lines];
  const primary = await startNode(folder, { lines: durable });
  const replica = await startNode(folder, { lines: [...durable, `replicaof 127.0.0.1 ${primary.port}`] });
  await inSync(replica);
  return [primary, replica] as const;
}

/** Waits until a replica follows its primary. */
export async function inSync(replica: RedisNode): Promise<void> {
  for (;;) {
    if ((await replica.admin.info("replication")).includes("master_link_status:up")) return;
  }
}

/** A Sentinel that calls the primary down after a second without an answer. */
export async function startSentinel(folder: string, primary: RedisNode, name: string): Promise<RedisNode> {
  const lines = [
    `sentinel monitor ${name} 127.0.0.1 ${primary.port} 1`,
    `sentinel down-after-milliseconds ${name} 600`,
    `sentinel failover-timeout ${name} 2000`,
  ];
  return await startNode(folder, { lines, mode: "--sentinel" });
}

/** A cluster of two primaries that share the slots. */
export async function startCluster(folder: string) {
  const start = async () => {
    // By default it is 10,000 above the port, which may be too high.
    const lines = ["cluster-enabled yes", "cluster-node-timeout 2000", `cluster-port ${await freePort()}`];
    return await startNode(folder, { lines });
  };
  const [one, two] = [await start(), await start()];
  await one.admin.call("CLUSTER", "ADDSLOTSRANGE", "0", "8191");
  await two.admin.call("CLUSTER", "ADDSLOTSRANGE", "8192", "16383");
  const bus = await two.admin.config("GET", "cluster-port");
  await one.admin.call("CLUSTER", "MEET", "127.0.0.1", String(two.port), bus[1] ?? "");
  for (const { admin } of [one, two]) {
    while (!(await admin.cluster("INFO")).includes("cluster_state:ok"));
  }
  return [one, two] as const;
}
