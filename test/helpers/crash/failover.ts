import { mkdir } from "node:fs/promises";
import { expect } from "vitest";
import { inSync, startPair, startSentinel } from "../redis/servers.ts";

const NAME = "films";
/** Replicas log in as this user, so that they can be locked out. */
const REPLICATION = ["user repl on >repl allkeys allcommands", "masteruser repl", "masterauth repl"];

/** A primary and its replica, which a Sentinel watches. */
export interface FailoverRedis extends AsyncDisposable {
  /** For the product. */
  readonly url: string;
  /** Of the server that is the primary. */
  readonly direct: string;
  /** From here on the replica gets nothing more. */
  lag(): Promise<void>;
  /** SIGKILL of the primary. */
  kill(): Promise<void>;
  /** Waits until the replica has taken over. */
  takenOver(): Promise<void>;
  /** Lets the replica take over, while the primary runs. */
  demote(): Promise<void>;
  configure(name: string, value: string): Promise<void>;
  /** The stored checkpoints of a pool, as far as the primary knows. */
  checkpoints(prefix: string): Promise<string[]>;
  /** The token of each job's lease, or null. */
  leases(jobs: readonly { id: string }[]): Promise<(string | null)[]>;
}

export async function startFailoverRedis(folder: string): Promise<FailoverRedis> {
  await mkdir(folder, { recursive: true });
  const [primary, replica] = await startPair(folder, REPLICATION);
  const sentinel = await startSentinel(folder, primary, NAME);
  let current = primary;
  await expect
    .poll(async () => String(await sentinel.admin.call("SENTINEL", "REPLICAS", NAME)), { timeout: 15_000 })
    .toContain(String(replica.port));
  await inSync(replica);
  const takenOver = async () => {
    await expect
      .poll(async () => await replica.admin.info("replication"), { timeout: 30_000 })
      .toContain("role:master");
    await expect
      .poll(async () => String(await sentinel.admin.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)), {
        timeout: 30_000,
      })
      .toContain(String(replica.port));
    current = replica;
  };
  return {
    url: `redis+sentinel://127.0.0.1:${sentinel.port}/${NAME}?db=0`,
    get direct() {
      return `redis://127.0.0.1:${current.port}`;
    },
    async lag() {
      await primary.admin.call("ACL", "SETUSER", "repl", "off");
      await primary.admin.call("CLIENT", "KILL", "TYPE", "replica");
    },
    kill: async () => await primary.kill("SIGKILL"),
    takenOver,
    async demote() {
      await sentinel.admin.call("SENTINEL", "FAILOVER", NAME);
      await takenOver();
    },
    configure: async (name, value) => void (await current.admin.config("SET", name, value)),
    async checkpoints(prefix) {
      const keys = await current.admin.keys(`${prefix}:*:checkpoint`);
      return await Promise.all(
        keys.toSorted().map(async (key) => String(await current.admin.hget(key, "record"))),
      );
    },
    async leases(jobs) {
      return await Promise.all(
        jobs.map(async ({ id }) => {
          const [key] = await current.admin.keys(`*:${id}:lock`);
          return key === undefined ? null : await current.admin.get(key);
        }),
      );
    },
    async [Symbol.asyncDispose]() {
      for (const node of [sentinel, primary, replica]) await node.kill("SIGKILL");
    },
  };
}
