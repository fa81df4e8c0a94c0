import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once as happened } from "node:events";
import { mkdir, mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { startGpuHostChild } from "../src/cli/gpu-host-child.ts";
import { modalVolumes, openModalSession } from "../src/modal/index.ts";
import type { pythonWithSdk } from "../support/python-sdk.ts";
import { busiestBetween, cpuBetween, processCpu, threadsCpu } from "./process-cpu.ts";

const LAUNCHER = new URL("../bin/mirumoji-worker.js", import.meta.url);
const CLIENT = fileURLToPath(new URL("./transfers-client.mjs", import.meta.url));
const SDK_SCRIPT = fileURLToPath(new URL("./transfers_sdk.py", import.meta.url));
const BLOCK_BYTES = 8 * 2 ** 20;

export const CLIENTS = ["ours", "floor", "sha256", "Python SDK"] as const;
export type ClientName = (typeof CLIENTS)[number];
export type Direction = "upload" | "download";

const answerSchema = z.object({
  seconds: z.number(),
  cpuSeconds: z.number(),
  peakBytes: z.number(),
  loopDelayP99Ms: z.number().optional(),
  memory: z.array(z.tuple([z.number(), z.number()])).optional(),
});
export type Answer = z.infer<typeof answerSchema>;

/** Files that are sent and fetched together. */
export interface Content {
  readonly name: string;
  readonly bytes: number;
  readonly files: readonly { readonly local: string; readonly remote: string }[];
}

/** Cost of one transfer. */
export interface Found {
  readonly answer: Answer;
  readonly bytes: number;
  readonly hostCpuSeconds: number;
  readonly hostThreadSeconds: number;
}

/** A GPU host, files, and clients that move them. */
export async function openBench() {
  const folder = await mkdtemp(join(tmpdir(), "mirumoji-bench-"));
  process.env["MIRUMOJI_LOGGING_LEVEL"] ??= "warn";
  const host = await startGpuHostChild({ dataFolder: join(folder, "gpu-host") });
  const session = openModalSession(host);
  const volumes = modalVolumes(session);
  const { signal } = new AbortController();
  const newVolume = async () => (await volumes.create({ signal })).volumeId;
  const once = async (
    client: ClientName,
    direction: Direction,
    volumeId: string,
    { bytes, files }: Content,
    sdk = "python3",
  ): Promise<Found> => {
    const before = processCpu(host.pid);
    const threadsBefore = threadsCpu(host.pid);
    const answer = await runClient(host, { client, direction, volumeId, files }, sdk);
    const { own } = cpuBetween(before, processCpu(host.pid));
    const hostThreadSeconds = busiestBetween(threadsBefore, threadsCpu(host.pid));
    for (const { local } of files) await rm(`${local}.back`, { force: true });
    return { answer, bytes, hostCpuSeconds: own, hostThreadSeconds };
  };
  return {
    newVolume,
    remove: async (volumeId: string) => await volumes.delete({ volumeId }),
    once,
    content: async (
      name: string,
      count: number,
      bytes: number,
      kind: "random" | "zeros",
    ): Promise<Content> => {
      await mkdir(join(folder, name));
      const files = Array.from({ length: count }, (_, index) => ({
        local: join(folder, name, String(index)),
        remote: `${name}/${index}`,
      }));
      for (const { local } of files) await makeFile(local, bytes, kind);
      return { name, bytes: bytes * count, files };
    },
    /**
     * Runs one transfer and measures its repetition. The first one makes the page cache's memory real: a
     * virtual machine gets memory when it is first touched, which can take ten times as long as the writing.
     */
    run: async (
      client: ClientName,
      direction: Direction,
      content: Content,
      python: Awaited<ReturnType<typeof pythonWithSdk>> | null = null,
    ): Promise<Found> => {
      const sdk = python !== null && "python" in python ? python.python : "python3";
      let found: Found | undefined;
      for (let volumeId = await newVolume(), repeat = 0; repeat < 2; repeat++) {
        // The lower bound sends blocks that belong to no file.
        if (direction === "download" && repeat === 0) await once("ours", "upload", volumeId, content, sdk);
        found = await once(client, direction, volumeId, content, sdk);
        if (direction === "upload" || repeat === 1) await volumes.delete({ volumeId });
        if (direction === "upload" && repeat === 0) volumeId = await newVolume();
      }
      if (found === undefined) throw new RangeError("nothing was measured");
      return found;
    },
    async [Symbol.asyncDispose]() {
      session.close();
      await host.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Runs one transfer in a process of its own. @param sdk - Python with the official SDK */
export async function runClient(
  host: { readonly serverUrl: string; readonly tokenId: string; readonly tokenSecret: string },
  order: {
    readonly client: ClientName;
    readonly direction: Direction;
    readonly volumeId: string;
    readonly files: Content["files"];
  },
  sdk: string,
): Promise<Answer> {
  const [program, args] =
    order.client === "Python SDK"
      ? [sdk, ["-B", SDK_SCRIPT]]
      : [process.execPath, [...(await flagsOfWorkers()), CLIENT]];
  const env = {
    PATH: process.env["PATH"],
    MODAL_SERVER_URL: host.serverUrl,
    MODAL_TOKEN_ID: host.tokenId,
    MODAL_TOKEN_SECRET: host.tokenSecret,
    MODAL_CONFIG_PATH: "/nonexistent",
  };
  const child = spawn(program, args, { env, stdio: ["pipe", "pipe", "inherit"] });
  return await ask(child, order);
}

/** Node options of the command `mirumoji-worker`. */
async function flagsOfWorkers(): Promise<string[]> {
  const started = /exec node (.*) "\$0"/u.exec(await readFile(LAUNCHER, "utf8"))?.[1];
  if (started === undefined) throw new Error("the command does not start Node as it used to");
  return started.split(" ");
}

async function ask(child: ChildProcess, order: object): Promise<Answer> {
  const exited = happened(child, "exit");
  if (child.stdin === null || child.stdout === null) throw new Error("a client has no input or output");
  child.stdin.end(`${JSON.stringify(order)}\n`);
  const { value, done } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  await exited;
  if (done === true) throw new Error("a client ended without an answer; its message is above");
  return answerSchema.parse(JSON.parse(value));
}

/** Random bytes once, told apart by a number in every block: to make gigabytes of them takes longer than to send. */
export async function makeFile(path: string, bytes: number, kind: "random" | "zeros"): Promise<void> {
  const block = kind === "zeros" ? Buffer.alloc(BLOCK_BYTES) : randomBytes(BLOCK_BYTES);
  const file = await open(path, "w");
  for (let start = 0, index = 1; start < bytes; start += BLOCK_BYTES, index++) {
    if (kind === "random") block.writeUInt32LE(index, 0);
    await file.write(block, 0, Math.min(BLOCK_BYTES, bytes - start), start);
  }
  await file.close();
}
