import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startGpuHostChild } from "../src/cli/gpu-host-child.ts";
import { startEmbeddedRedis } from "../src/cli/embedded-redis.ts";
import { openRedisClient } from "../src/queue/redis-client.ts";
import { pythonWithSdk } from "../support/python-sdk.ts";
import { SAMPLE, statsSchema } from "../support/dev.ts";
import { startWorkerProcess, type WorkerProcess } from "../support/stack.ts";
import { cpuBetween, type ProcessCpu, processCpu } from "./process-cpu.ts";
import { shown, type Spread, spreadOf } from "./rounds.ts";

export interface PipelineSize {
  readonly rounds: number;
  /** Jobs of one round, by how many are in flight. */
  readonly ours: Readonly<Record<1 | 100, number>>;
  readonly sdk: Readonly<Record<1 | 100, number>>;
}

/** One way to run the jobs. Processor time is the client's: the worker process, or the Python process. */
export interface PipelineRow {
  readonly client: "mirumoji-worker" | "Python SDK, app per job" | "Python SDK, one app";
  readonly atATime: 1 | 100;
  readonly jobsPerSecond: Spread;
  readonly cpuMsPerJob: Spread;
  /** Processor time of programs that the client started (ffprobe). */
  readonly childrenCpuMsPerJob: Spread;
  readonly hostCpuMsPerJob: Spread;
}

export interface Pipeline {
  readonly rows: readonly PipelineRow[];
  /** Ours with 100 jobs in flight against the SDK one after the other, and processor time one at a time. */
  readonly targets: { readonly timesTheJobs: number; readonly shareOfTheCpu: number } | null;
  /** Reason why the SDK was left out. */
  readonly skipped: string | null;
  /** Volumes of our own jobs that the GPU host did not see deleted (the SDK never deletes an ephemeral one). */
  readonly volumesLeft: number;
  /** Calls that the GPU host started, for each job of ours or the SDK's. */
  readonly callsPerJob: number;
}

interface Round {
  readonly seconds: number;
  readonly client: ProcessCpu;
}

const INPUT_BYTES = 2 ** 20;
const INPUTS = 100;
const HANDLER = fileURLToPath(new URL("./pipeline_handler.py", import.meta.url));
const SDK_SCRIPT = fileURLToPath(new URL("./pipeline_sdk.py", import.meta.url));

/**
 * Whole jobs with an input of 1 MiB, whose result is the input again and whose function returns at once, on
 * one GPU host: by worker processes, and by the official Python SDK in Mirumoji's steps, taking turns.
 */
export async function measurePipeline({ rounds, ours, sdk }: PipelineSize): Promise<Pipeline> {
  const folder = await mkdtemp(join(tmpdir(), "mirumoji-bench-"));
  const cleanUp: (() => Promise<unknown>)[] = [
    async () => await rm(folder, { recursive: true, force: true }),
  ];
  // The host's log is this terminal; the workers log into a pipe, as they would in production.
  process.env["MIRUMOJI_LOGGING_LEVEL"] ??= "warn";
  process.env["MIRUMOJI_GPU_HOST_CALLS"] ??= "8";
  try {
    const inputs = await makeInputs(join(folder, "media"));
    const redis = await startEmbeddedRedis({ folder: join(folder, "redis") });
    cleanUp.push(async () => await redis.stop());
    const host = await startGpuHostChild({ dataFolder: join(folder, "gpu-host") });
    cleanUp.push(async () => await host.stop());
    const settings = {
      REDIS_URL: redis.url,
      HOST_MEDIA_PATH: join(folder, "media"),
      MODAL_SERVER_URL: host.serverUrl,
      MODAL_TOKEN_ID: host.tokenId,
      MODAL_TOKEN_SECRET: host.tokenSecret,
      MIRUMOJI_HTTP_PORT: "0",
      MIRUMOJI_HANDLER: HANDLER,
      MIRUMOJI_LOGGING_LEVEL: "info",
    };
    const startLane = async (atATime: 1 | 100) => {
      const prefix = `{bench-${atATime}}`;
      const worker = await startWorkerProcess(folder, {
        ...settings,
        MIRUMOJI_QUEUE_PREFIX: prefix,
        MIRUMOJI_CONVERT_CONCURRENCY: String(atATime),
      });
      cleanUp.push(async () => await worker.kill("SIGTERM"));
      const client = await openRedisClient({ REDIS_URL: redis.url, MIRUMOJI_QUEUE_PREFIX: prefix });
      cleanUp.push(async () => await client[Symbol.asyncDispose]());
      return async (jobs: number) => await runJobs(client.queues.convert, worker, jobs, inputs);
    };
    const lanes = { 1: await startLane(1), 100: await startLane(100) };
    const python = await pythonWithSdk();
    const client = "python" in python ? startSdk(python.python, host, folder, inputs) : null;
    if (client !== null) cleanUp.push(async () => await client.stop());

    const measured = new Map<
      string,
      { row: Pick<PipelineRow, "client" | "atATime">; rounds: MeasuredRound[] }
    >();
    const measure = async (
      row: Pick<PipelineRow, "client" | "atATime">,
      jobs: number,
      run: () => Promise<Round>,
    ) => {
      const key = `${row.client} ${row.atATime}`;
      const entry = measured.get(key) ?? { row, rounds: [] };
      measured.set(key, entry);
      const before = processCpu(host.pid);
      const round = await run();
      entry.rounds.push({ ...round, jobs, host: cpuBetween(before, processCpu(host.pid)) });
    };
    let [all, own] = [0, 0];
    const everyWay = async (scale: (jobs: number) => number, keep: boolean) => {
      for (const atATime of [1, 100] as const) {
        const mine = scale(ours[atATime]);
        const theirs = scale(sdk[atATime]);
        const ways = [
          ["mirumoji-worker", mine, async () => await lanes[atATime](mine)],
          ...(client === null
            ? []
            : ([
                ["Python SDK, app per job", theirs, async () => await client.run("perJob", atATime, theirs)],
                ["Python SDK, one app", theirs, async () => await client.run("shared", atATime, theirs)],
              ] as const)),
        ] as const;
        for (const [name, jobs, run] of ways) {
          all += jobs;
          if (name === "mirumoji-worker") own += jobs;
          if (keep) await measure({ client: name, atATime }, jobs, run);
          else await run();
        }
      }
    };
    await everyWay((jobs) => Math.ceil(jobs / 5), false);
    for (let round = 0; round < rounds; round += 1) await everyWay((jobs) => jobs, true);

    const rows = [...measured.values()].map(({ row, rounds: found }) => rowOf(row, found));
    const response = await fetch(host.statsUrl);
    const stats = statsSchema.parse(await response.json());
    return {
      rows,
      targets: client === null ? null : targetsOf(rows),
      skipped: "missing" in python ? python.missing : null,
      volumesLeft: own - stats.volumes.deleted,
      callsPerJob: stats.calls.started / all,
    };
  } finally {
    for (const undo of cleanUp.toReversed()) await undo();
  }
}

interface MeasuredRound extends Round {
  readonly jobs: number;
  readonly host: ProcessCpu;
}

function rowOf(row: Pick<PipelineRow, "client" | "atATime">, rounds: readonly MeasuredRound[]): PipelineRow {
  const perJob = (pick: (round: MeasuredRound) => number) =>
    spreadOf(rounds.map((round) => (pick(round) * 1000) / round.jobs));
  return {
    ...row,
    jobsPerSecond: spreadOf(rounds.map(({ jobs, seconds }) => jobs / seconds)),
    cpuMsPerJob: perJob(({ client }) => client.own),
    childrenCpuMsPerJob: perJob(({ client }) => client.children),
    hostCpuMsPerJob: perJob(({ host }) => host.own + host.children),
  };
}

function targetsOf(rows: readonly PipelineRow[]): Pipeline["targets"] {
  const find = (client: PipelineRow["client"], atATime: number) =>
    rows.find((row) => row.client === client && row.atATime === atATime);
  const [many, one] = [find("mirumoji-worker", 100), find("mirumoji-worker", 1)];
  const sequence = find("Python SDK, app per job", 1);
  if (many === undefined || one === undefined || sequence === undefined) return null;
  return {
    timesTheJobs: Number((many.jobsPerSecond.median / sequence.jobsPerSecond.median).toFixed(1)),
    shareOfTheCpu: Number(
      ((one.cpuMsPerJob.median + one.childrenCpuMsPerJob.median) / sequence.cpuMsPerJob.median).toFixed(2),
    ),
  };
}

/** For people. */
export function pipelineTable({ rows }: Pipeline): Record<string, string | number>[] {
  return rows.map((row) => ({
    client: row.client,
    "at a time": row.atATime,
    "jobs/s": shown(row.jobsPerSecond),
    "client CPU ms/job": shown(row.cpuMsPerJob),
    "its programs ms/job": shown(row.childrenCpuMsPerJob),
    "GPU host CPU ms/job": shown(row.hostCpuMsPerJob),
  }));
}

/** The sample, each copy filled up to 1 MiB with other bytes in a box that players skip. */
async function makeInputs(mediaRoot: string): Promise<string[]> {
  await mkdir(mediaRoot);
  const sample = await readFile(SAMPLE);
  const header = Buffer.alloc(8);
  header.writeUInt32BE(INPUT_BYTES - sample.length, 0);
  header.write("free", 4);
  const names = Array.from({ length: INPUTS }, (_, index) => `input-${index}.mp4`);
  for (const name of names) {
    const filling = randomBytes(INPUT_BYTES - sample.length - header.length);
    await writeFile(join(mediaRoot, name), Buffer.concat([sample, header, filling]));
  }
  return names.map((name) => join(mediaRoot, name));
}

type ConvertQueue = Awaited<ReturnType<typeof openRedisClient>>["queues"]["convert"];

/** Puts the jobs into the queue and waits until the last one is over, by BullMQ's own clock. */
async function runJobs(
  queue: ConvertQueue,
  worker: WorkerProcess,
  jobs: number,
  inputs: readonly string[],
): Promise<Round> {
  const pid = worker.child.pid ?? 0;
  const before = processCpu(pid);
  const name = (path: string) => path.slice(path.lastIndexOf("/") + 1);
  const added = await queue.addBulk(
    Array.from({ length: jobs }, (_, index) => ({
      name: "convert",
      data: {
        v: 1,
        input: name(inputs[index % inputs.length] ?? ""),
        output: `out/${index}.mp4`,
        overwrite: true,
      },
      opts: { removeOnComplete: false },
    })),
  );
  for (;;) {
    const failed = await queue.getFailedCount();
    if (failed > 0) throw new Error(`${failed} jobs failed:\n${worker.log().slice(-2000)}`);
    if ((await queue.getCompletedCount()) >= jobs) break;
    await sleep(50);
  }
  const client = cpuBetween(before, processCpu(pid));
  const done = await Promise.all(added.map(async ({ id = "" }) => await queue.getJob(id)));
  const first = Math.min(...done.map((job) => job?.processedOn ?? Infinity));
  const last = Math.max(...done.map((job) => job?.finishedOn ?? Infinity));
  await queue.clean(0, jobs, "completed");
  return { seconds: (last - first) / 1000, client };
}

function startSdk(
  python: string,
  host: { serverUrl: string; tokenId: string; tokenSecret: string },
  outputs: string,
  inputs: readonly string[],
) {
  const child: ChildProcess = spawn(python, ["-B", SDK_SCRIPT], {
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
  if (child.stdin === null || child.stdout === null) throw new Error("the SDK has no input or output");
  const { stdin } = child;
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async run(app: "perJob" | "shared", atATime: number, jobs: number): Promise<Round> {
      stdin.write(`${JSON.stringify({ app, atATime, jobs, inputs, outputs })}\n`);
      const { value, done } = await answers.next();
      if (done === true) throw new Error("the SDK's process ended; its message is above");
      const { seconds, cpuSeconds } = JSON.parse(value) as { seconds: number; cpuSeconds: number };
      return { seconds, client: { own: cpuSeconds, children: 0 } };
    },
    async stop() {
      stdin.end();
      await exited;
    },
  };
}
