import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startEmbeddedRedis } from "../src/cli/embedded-redis.ts";
import { openRedisClient } from "../src/queue/redis-client.ts";
import { SAMPLE } from "../support/dev.ts";
import { startWorkerProcess } from "../support/stack.ts";
import { type FarHost, openFarHost } from "./far-link.ts";
import { rounded, spreadOf } from "./rounds.ts";

const HANDLER = fileURLToPath(new URL("./pipeline_handler.py", import.meta.url));
const SDK_SCRIPT = fileURLToPath(new URL("./far_jobs_sdk.py", import.meta.url));
const PREFIX = "{far}";
/** Bytes that tell the copies of the sample apart, which has 0.53 MB. */
const OWN_BYTES = 16;
/** Turns of 50 ms that the jobs may take. */
const WAIT_TURNS = 2400;

/** Jobs with half a megabyte each way and a function that does nothing, one after the other. */
export interface SmallJobRow {
  readonly client: "ours" | "Python SDK, one app" | "Python SDK, app per job";
  readonly rttMs: number;
  /** From the moment a job is taken up to its end: median, shortest and longest. */
  readonly ms: number;
  readonly leastMs: number;
  readonly mostMs: number;
  /** The median in round trips. */
  readonly roundTrips: number;
}

export async function measureSmallJobs({
  rttMs,
  folder,
  jobs,
  python,
  say,
}: {
  readonly rttMs: number;
  readonly folder: string;
  readonly jobs: number;
  readonly python: string;
  readonly say: (line: string) => void;
}): Promise<SmallJobRow[]> {
  if (jobs === 0) return [];
  const inputs = await makeInputs(join(folder, "media"), jobs + 1);
  const host = await openFarHost(rttMs, join(folder, "gpu-host"));
  const rows: SmallJobRow[] = [];
  const add = (client: SmallJobRow["client"], found: readonly number[]): void => {
    const { median: ms, least: leastMs, most: mostMs } = spreadOf(found);
    rows.push({ client, rttMs, ms, leastMs, mostMs, roundTrips: rounded(ms / rttMs) });
    say(`${rttMs} ms, ${client}, job of 0.5 MB: ${ms} ms`);
  };
  try {
    add("ours", await ours(host, folder, inputs));
    if (python !== "") {
      const target = join(folder, "back.mp4");
      for (const [way, client] of [
        ["one app", "Python SDK, one app"],
        ["seed", "Python SDK, app per job"],
      ] as const) {
        add(client, await theirs(host, python, { way, jobs, inputs, target }));
      }
    }
  } finally {
    await host.close();
  }
  return rows;
}

async function ours(host: FarHost, folder: string, inputs: readonly string[]): Promise<number[]> {
  const redis = await startEmbeddedRedis({ folder: join(folder, "redis") });
  const worker = await startWorkerProcess(folder, {
    REDIS_URL: redis.url,
    HOST_MEDIA_PATH: join(folder, "media"),
    MODAL_SERVER_URL: host.serverUrl,
    MODAL_TOKEN_ID: host.tokenId,
    MODAL_TOKEN_SECRET: host.tokenSecret,
    MIRUMOJI_HTTP_PORT: "0",
    MIRUMOJI_QUEUE_PREFIX: PREFIX,
    MIRUMOJI_HANDLER: HANDLER,
    MIRUMOJI_CONVERT_CONCURRENCY: "1",
    MIRUMOJI_LOGGING_LEVEL: "info",
  });
  const client = await openRedisClient({ REDIS_URL: redis.url, MIRUMOJI_QUEUE_PREFIX: PREFIX });
  try {
    const queue = client.queues.convert;
    const added = await queue.addBulk(
      inputs.map((path, index) => ({
        name: "convert",
        data: { v: 1, input: basename(path), output: `out/${index}.mp4` },
        opts: { removeOnComplete: false },
      })),
    );
    for (let turn = 0; (await queue.getCompletedCount()) < added.length; turn++) {
      if (turn > WAIT_TURNS) throw new Error(`the jobs do not end:\n${worker.log().slice(-2000)}`);
      if ((await queue.getFailedCount()) > 0) throw new Error(`a job failed:\n${worker.log().slice(-2000)}`);
      await sleep(50);
    }
    const done = await Promise.all(added.map(async ({ id = "" }) => await queue.getJob(id)));
    // The first job pays for connections and the app.
    return done.slice(1).map((job) => (job?.finishedOn ?? 0) - (job?.processedOn ?? 0));
  } finally {
    await client[Symbol.asyncDispose]();
    await worker.kill("SIGTERM");
    await redis.stop();
  }
}

async function theirs(host: FarHost, python: string, order: object): Promise<number[]> {
  const child = spawn(python, ["-B", SDK_SCRIPT], {
    env: {
      PATH: process.env["PATH"],
      MODAL_SERVER_URL: host.serverUrl,
      MODAL_TOKEN_ID: host.tokenId,
      MODAL_TOKEN_SECRET: host.tokenSecret,
      MODAL_CONFIG_PATH: "/nonexistent",
    },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  child.stdin.end(`${JSON.stringify(order)}\n`);
  const { value, done } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  await exited;
  if (done === true) throw new Error("the SDK's process ended; its message is above");
  return JSON.parse(value) as number[];
}

/** Copies of the sample, each with other bytes in a box that players skip. */
async function makeInputs(mediaRoot: string, count: number): Promise<string[]> {
  await mkdir(mediaRoot);
  const sample = await readFile(SAMPLE);
  const header = Buffer.alloc(8);
  header.writeUInt32BE(OWN_BYTES + header.length, 0);
  header.write("free", 4);
  const paths = Array.from({ length: count }, (_, index) => join(mediaRoot, `small-${index}.mp4`));
  for (const path of paths) await writeFile(path, Buffer.concat([sample, header, randomBytes(OWN_BYTES)]));
  return paths;
}
