import type { Command } from "commander";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { access, copyFile, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { isolatedEnvironment } from "../config/child-environment.ts";
import { openRedisClient, type RedisClient } from "../queue/redis-client.ts";
import type { JobType, RequestOptions } from "../job/contract.ts";
import { MirumojiError } from "../job/errors.ts";
import type { JobView } from "../job/summary.ts";
import { DEFAULT_PREFIX } from "../queue/keys.ts";
import { type DevSession, devSessionSchema } from "./dev-session.ts";
import { describeJob } from "./job-text.ts";
import { guarded, note, print, printJson } from "./output.ts";
import { createProgressView } from "./progress-view.ts";

const run = promisify(execFile);
const packageFile = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const SAMPLE = packageFile("samples/hello-mirumoji.mp4");
const LAUNCHER = packageFile("bin/mirumoji-worker.js");

interface DemoOptions {
  json?: boolean;
  media?: string;
  language: string;
}

export function addDemo(program: Command): void {
  program
    .command("demo")
    .description("run both jobs on a sample, from nothing, on this machine")
    .option("--media <file>", "your own file in place of the sample")
    .option("--language <code>", "language spoken in the file; the free engine here knows English", "en")
    .option("--json", "end with one JSON document on stdout")
    .action(guarded(({ json }: DemoOptions) => json === true, runDemo));
}

async function runDemo({ json, media, language }: DemoOptions): Promise<void> {
  const source = resolve(media ?? SAMPLE);
  await access(source).catch((cause: unknown) => {
    throw new MirumojiError("INPUT_NOT_FOUND", `--media ${source} does not exist`, { cause });
  });
  const folder = await mkdtemp(join(tmpdir(), "mirumoji-demo-"));
  const mediaRoot = join(folder, "media");
  await mkdir(mediaRoot);
  const input = basename(source);
  await copyFile(source, join(mediaRoot, input));
  const dev = startDev(mediaRoot, join(folder, "data"));
  const jobs: JobView[] = [];
  try {
    note("Starting Redis, the GPU host and a worker on this machine ...");
    const session = await dev.ready();
    await using client = await openRedisClient({
      REDIS_URL: session.redisUrl,
      MIRUMOJI_QUEUE_PREFIX: DEFAULT_PREFIX,
    });
    jobs.push(
      await runOne(client, "transcribe", { input, language, formats: ["srt", "vtt", "json", "txt"] }),
    );
    jobs.push(await runOne(client, "convert", { input, resolution: "640x360", target_bitrate: "800k" }));
  } finally {
    await dev.stop();
    await rm(join(folder, "data"), { recursive: true, force: true });
  }
  await report(jobs, mediaRoot, json === true);
}

async function runOne<T extends JobType>(
  client: RedisClient,
  type: T,
  request: RequestOptions[T],
): Promise<JobView> {
  const { id } = await client.jobs.submit(type, request);
  const view = createProgressView();
  try {
    return await client.jobs.wait(id, { pollMs: 100, onChange: (job) => view.update(job) });
  } finally {
    view.stop();
  }
}

async function report(jobs: readonly JobView[], mediaRoot: string, json: boolean): Promise<void> {
  const ok = jobs.every((job) => job.status === "completed");
  const text = await transcriptOf(jobs, mediaRoot);
  const absolute = (path: string) => join(mediaRoot, path);
  if (json) {
    printJson({
      ok,
      jobs: jobs.map((job) => ({
        id: job.id,
        type: job.type,
        state: job.state,
        input: job.input === null ? null : absolute(job.input),
        outputs: job.outputs.map(({ path, bytes, sha256 }) => ({ path: absolute(path), bytes, sha256 })),
        states: job.states.map(({ state, ms }) => ({ state, ms })),
        text: job.type === "transcribe" ? text : null,
        error: job.error,
      })),
    });
  } else {
    for (const job of jobs) print(`\n${describeJob(job)}`);
    if (text !== null) print(`\nTranscript:\n${text.trimEnd().replaceAll(/^/gmu, "  ")}`);
    for (const video of outputsOf(jobs, ".mp4")) print(`\nffprobe says:\n${await probe(absolute(video))}`);
    print(`\nThe files are in ${mediaRoot}`);
    print(
      "Next: npx . dev      then, in another terminal: npx . submit transcribe <file> --language en --wait",
    );
  }
  if (!ok) process.exitCode = 1;
}

function outputsOf(jobs: readonly JobView[], ending: string): string[] {
  return jobs.flatMap((job) => job.outputs.map(({ path }) => path)).filter((path) => path.endsWith(ending));
}

async function transcriptOf(jobs: readonly JobView[], mediaRoot: string): Promise<string | null> {
  const [path] = outputsOf(jobs, ".txt");
  return path === undefined ? null : await readFile(join(mediaRoot, path), "utf8");
}

async function probe(path: string): Promise<string> {
  const entries = "format=format_name,duration,bit_rate:stream=codec_name,width,height";
  const { stdout } = await run("ffprobe", [
    "-v",
    "error",
    "-show_entries",
    entries,
    "-of",
    "compact",
    `file:${path}`,
  ]);
  return stdout.trimEnd().replaceAll(/^/gmu, "  ");
}

/** Runs `dev` in a child as a user would, without the services that the environment may name. */
function startDev(
  mediaRoot: string,
  data: string,
): { ready: () => Promise<DevSession>; stop: () => Promise<void> } {
  const child = spawn(process.execPath, [LAUNCHER, "dev", "--json", "--data", data], {
    cwd: join(mediaRoot, ".."),
    env: isolatedEnvironment({
      HOST_MEDIA_PATH: mediaRoot,
      MIRUMOJI_HTTP_PORT: "0",
      MIRUMOJI_LOGGING_LEVEL: "warn",
    }),
    stdio: ["ignore", "pipe", "inherit"],
    // Passes Ctrl-C on once.
    detached: true,
  });
  const exited = once(child, "exit");
  const stop = async () => {
    child.kill("SIGTERM");
    await exited;
  };
  const onSignal = () => {
    void stop().then(() => process.exit(130));
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, onSignal);
  return { ready: async () => await firstLine(child, exited), stop };
}

async function firstLine(
  child: ChildProcess & { stdout: NodeJS.ReadableStream | null },
  exited: Promise<unknown>,
) {
  if (child.stdout === null) throw new MirumojiError("UNEXPECTED", "dev has no output");
  const lines = createInterface({ input: child.stdout });
  const line = await Promise.race([
    once(lines, "line").then(([text]) => String(text)),
    exited.then(() => null),
  ]);
  if (line === null) throw new MirumojiError("UNEXPECTED", "dev did not start; its message is above");
  return devSessionSchema.parse(JSON.parse(line));
}
