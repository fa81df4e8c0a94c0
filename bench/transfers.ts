import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once as happened } from "node:events";
import { mkdir, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { startGpuHostChild } from "../src/cli/gpu-host-child.ts";
import { openModalSession } from "../src/modal/session.ts";
import { modalVolumes } from "../src/modal/volumes.ts";
import { pythonWithSdk } from "../test/gpu-host/python-sdk.ts";
import { cpuBetween, processCpu } from "./process-cpu.ts";
import { shown, type Spread, spreadOf } from "./rounds.ts";

const CLIENT = fileURLToPath(new URL("./transfers-client.mjs", import.meta.url));
const SDK_SCRIPT = fileURLToPath(new URL("./transfers_sdk.py", import.meta.url));
const BLOCK_BYTES = 8 * 2 ** 20;

const CLIENTS = ["ours", "floor", "sha256", "Python SDK"] as const;
type ClientName = (typeof CLIENTS)[number];
type Direction = "upload" | "download";

const answerSchema = z.object({
  seconds: z.number(),
  cpuSeconds: z.number(),
  peakBytes: z.number(),
  loopDelayP99Ms: z.number().optional(),
  memory: z.array(z.tuple([z.number(), z.number()])).optional(),
});
type Answer = z.infer<typeof answerSchema>;

/** Files that are sent and fetched together. */
interface Content {
  readonly name: string;
  readonly bytes: number;
  readonly files: readonly { readonly local: string; readonly remote: string }[];
}

export interface TransferRow {
  readonly content: string;
  readonly direction: Direction;
  readonly client: ClientName;
  readonly megabytesPerSecond: Spread;
  /** Processor seconds of the client per gigabyte. */
  readonly cpuPerGigabyte: Spread;
  readonly hostCpuPerGigabyte: Spread;
  readonly peakMebibytes: Spread;
  readonly loopDelayP99Ms: Spread | null;
}

export interface Transfers {
  readonly rows: readonly TransferRow[];
  /** Of ours, for the content of random bytes: against the Python SDK and against the floor. */
  readonly targets: readonly {
    readonly direction: Direction;
    readonly timesPython: number | null;
    readonly shareOfPythonCpu: number | null;
    readonly shareOfTheFloor: number;
  }[];
  readonly skipped: string | null;
}

/** Uploads and downloads of the same files to the same GPU host, by turns. `bytes`: of the large files. */
export async function measureTransfers({
  rounds,
  bytes,
}: {
  readonly rounds: number;
  readonly bytes: number;
}): Promise<Transfers> {
  await using bench = await openBench();
  const contents = [
    await bench.content("random", 1, bytes, "random"),
    await bench.content("zeros", 1, bytes, "zeros"),
    await bench.content("100 files of 1 MiB", 100, 2 ** 20, "random"),
  ];
  const python = await pythonWithSdk();
  const measured = new Map<
    string,
    { row: Pick<TransferRow, "content" | "direction" | "client">; found: Found[] }
  >();
  const clients = CLIENTS.filter((client) => client !== "Python SDK" || "python" in python);
  const ways = contents.flatMap((content) =>
    clients.flatMap((client) =>
      (["upload", "download"] as const)
        .filter((direction) => client !== "sha256" || direction === "upload")
        .map((direction) => ({ content, client, direction })),
    ),
  );
  for (let round = 0; round < rounds; round++) {
    // Nobody is always the first.
    const first = round * 2;
    for (const { content, client, direction } of [...ways.slice(first), ...ways.slice(0, first)]) {
      const found = await bench.run(client, direction, content, python);
      const key = [content.name, direction, client].join(" ");
      const entry = measured.get(key) ?? { row: { content: content.name, direction, client }, found: [] };
      entry.found.push(found);
      measured.set(key, entry);
    }
  }
  const rows = [...measured.values()].map(({ row, found }) => rowOf(row, found));
  return { rows, targets: targetsOf(rows), skipped: "missing" in python ? python.missing : null };
}

/** One 10 GiB transfer each way and ten of 1 GiB at once, and the memory of the process meanwhile. */
export async function measureMemory({ gibibytes }: { readonly gibibytes: number }) {
  await using bench = await openBench();
  const one = await bench.content(`one file of ${gibibytes} GiB`, 1, gibibytes * 2 ** 30, "random");
  const many = await bench.content(`${gibibytes} files of 1 GiB at once`, gibibytes, 2 ** 30, "random");
  const rows: Record<string, string | number>[] = [];
  const overTime: Record<string, readonly (readonly [number, number])[]> = {};
  for (const content of [one, many]) {
    const volumeId = await bench.newVolume();
    for (const direction of ["upload", "download"] as const) {
      const { answer } = await bench.once("ours", direction, volumeId, content);
      const { seconds, peakBytes, loopDelayP99Ms = 0, memory = [] } = answer;
      rows.push({
        content: content.name,
        direction,
        "MB/s": Math.round(content.bytes / 1e6 / seconds),
        "peak MiB": Math.round(peakBytes / 2 ** 20),
        "event loop p99 ms": Number(loopDelayP99Ms.toFixed(1)),
      });
      overTime[`${content.name}, ${direction}`] = tenOf(memory);
    }
    await bench.remove(volumeId);
  }
  return { rows, overTime };
}

/** Ten moments of a series, as seconds and MiB. */
function tenOf(memory: readonly (readonly [number, number])[]): readonly (readonly [number, number])[] {
  const step = Math.max(1, Math.floor(memory.length / 10));
  return memory
    .filter((_, index) => index % step === 0)
    .map(([ms, bytes]) => [Math.round(ms / 1000), Math.round(bytes / 2 ** 20)] as const);
}

/** For people. */
export function transfersTable({ rows }: Transfers): Record<string, string | number>[] {
  return rows.map((row) => ({
    content: row.content,
    direction: row.direction,
    client: row.client,
    "MB/s": shown(row.megabytesPerSecond),
    "client CPU s/GB": shown(row.cpuPerGigabyte),
    "GPU host CPU s/GB": shown(row.hostCpuPerGigabyte),
    "peak MiB": shown(row.peakMebibytes),
    "event loop p99 ms": row.loopDelayP99Ms === null ? "" : shown(row.loopDelayP99Ms),
  }));
}

interface Found {
  readonly answer: Answer;
  readonly bytes: number;
  readonly hostCpuSeconds: number;
}

function rowOf(
  row: Pick<TransferRow, "content" | "direction" | "client">,
  found: readonly Found[],
): TransferRow {
  const perGigabyte = (pick: (one: Found) => number) =>
    spreadOf(found.map((one) => pick(one) / (one.bytes / 1e9)));
  const delays = found.flatMap(({ answer }) => answer.loopDelayP99Ms ?? []);
  return {
    ...row,
    megabytesPerSecond: spreadOf(found.map(({ answer, bytes }) => bytes / 1e6 / answer.seconds)),
    cpuPerGigabyte: perGigabyte(({ answer }) => answer.cpuSeconds),
    hostCpuPerGigabyte: perGigabyte(({ hostCpuSeconds }) => hostCpuSeconds),
    peakMebibytes: spreadOf(found.map(({ answer }) => answer.peakBytes / 2 ** 20)),
    loopDelayP99Ms: delays.length === 0 ? null : spreadOf(delays),
  };
}

function targetsOf(rows: readonly TransferRow[]): Transfers["targets"] {
  return (["upload", "download"] as const).flatMap((direction) => {
    const find = (client: ClientName) =>
      rows.find((row) => row.content === "random" && row.direction === direction && row.client === client);
    const [ours, floor, python] = [find("ours"), find("floor"), find("Python SDK")];
    if (ours === undefined || floor === undefined) return [];
    const ratio = (one: Spread, other: Spread) => Number((one.median / other.median).toFixed(2));
    return {
      direction,
      timesPython: python === undefined ? null : ratio(ours.megabytesPerSecond, python.megabytesPerSecond),
      shareOfPythonCpu: python === undefined ? null : ratio(ours.cpuPerGigabyte, python.cpuPerGigabyte),
      shareOfTheFloor: ratio(ours.megabytesPerSecond, floor.megabytesPerSecond),
    };
  });
}

async function openBench() {
  const folder = await mkdtemp(join(tmpdir(), "mirumoji-bench-"));
  process.env["MIRUMOJI_LOGGING_LEVEL"] ??= "warn";
  const host = await startGpuHostChild({ dataFolder: join(folder, "gpu-host") });
  const session = openModalSession(host);
  const volumes = modalVolumes(session);
  const { signal } = new AbortController();
  const newVolume = async () => (await volumes.create({ signal })).volumeId;
  const environment = {
    PATH: process.env["PATH"],
    MODAL_SERVER_URL: host.serverUrl,
    MODAL_TOKEN_ID: host.tokenId,
    MODAL_TOKEN_SECRET: host.tokenSecret,
    MODAL_CONFIG_PATH: "/nonexistent",
  };
  const once = async (
    client: ClientName,
    direction: Direction,
    volumeId: string,
    { bytes, files }: Content,
    sdk = "python3",
  ): Promise<Found> => {
    const [program, args] =
      client === "Python SDK" ? [sdk, ["-B", SDK_SCRIPT]] : [process.execPath, [CLIENT]];
    const child = spawn(program, args, { env: environment, stdio: ["pipe", "pipe", "inherit"] });
    const before = processCpu(host.pid);
    const answer = await ask(child, { client, direction, volumeId, files });
    const { own } = cpuBetween(before, processCpu(host.pid));
    for (const { local } of files) await rm(`${local}.back`, { force: true });
    return { answer, bytes, hostCpuSeconds: own };
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
        // What the floor sends is blocks of no file.
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
async function makeFile(path: string, bytes: number, kind: "random" | "zeros"): Promise<void> {
  const block = kind === "zeros" ? Buffer.alloc(BLOCK_BYTES) : randomBytes(BLOCK_BYTES);
  const file = await open(path, "w");
  for (let start = 0, index = 1; start < bytes; start += BLOCK_BYTES, index++) {
    if (kind === "random") block.writeUInt32LE(index, 0);
    await file.write(block, 0, Math.min(BLOCK_BYTES, bytes - start), start);
  }
  await file.close();
}
