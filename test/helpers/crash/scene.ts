import { createHash, randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { type Client, createClient } from "../../../src/index.ts";
import { JOB_TYPES, type JobType, transcribeRequestSchema } from "../../../src/job/contract.ts";
import { isFinal, type JobStatus, type JobView } from "../../../src/job/summary.ts";
import { renderTranscript } from "../../../src/subtitles/render.ts";
import { type CommandResult, runCommand, SHORT_SAMPLE, type Stats } from "../../../support/dev.ts";
import { programFile } from "../../../support/programs.ts";
import { startWorkerProcess, type WorkerProcess } from "../../../support/stack.ts";
import { foreignKeys, terminalEvents } from "./books.ts";
import { accountFor } from "./orphans.ts";
import { record, type Row } from "./report.ts";
import type { GpuHostService, RedisService } from "./services.ts";
import { eventsOf } from "./worker-log.ts";

const HANDLER = fileURLToPath(new URL("../../../support/handler.py", import.meta.url));
/** Short, so that a test need not wait long for a dead worker's lease. */
const SETTINGS = {
  MIRUMOJI_LEASE: "2",
  MIRUMOJI_HEARTBEAT: "0.5",
  MIRUMOJI_HTTP_PORT: "0",
  // Nothing may be left of a job; transcripts would be, for a week.
  MIRUMOJI_KEEP_SEGMENTS: "0",
  // Receivers of webhooks run in the test.
  MIRUMOJI_PRIVATE_NETWORKS: "127.0.0.1",
  // The handler answers with the digest of what it got, which must be that of the input.
  MIRUMOJI_UPLOAD_AUDIO_ONLY: "never",
};
const PATIENCE_MS = 90_000;

type CallStats = Stats["calls"]["list"][number];

/** Job with its expected outcome. */
export interface CrashJob {
  readonly id: string;
  readonly type: JobType;
  readonly inputPath: string;
  readonly outputPath: string;
  readonly output: Buffer;
}

/** Expectations about the jobs of a scene at its end. */
export interface Expectation {
  /** @defaultValue `completed` */
  readonly status?: JobStatus;
  /** How many calls a job may have started; more than one only where the server itself lost one. */
  readonly mostCalls?: number;
  /** How many attempts a state may have cost. */
  readonly mostAttempts?: number;
  /** Case name in the table; all jobs of the scene as one case by default. */
  readonly cases?: readonly Case[];
  /** How many volumes the server may have made without ever answering: those expire, as orphans of a SIGKILL do. */
  readonly mostUnanswered?: number;
}

/** Some of a scene's jobs, and from when on recovery is measured. */
export interface Case {
  readonly name: string;
  readonly jobs: readonly CrashJob[];
  /** When the worker that had the jobs died: until each was taken up again. */
  readonly diedAt?: number;
  /** When a service was back: until the first job moved on. */
  readonly backAt?: number;
}

/** Redis as the product is told of it; `direct` is the address of the server that answers, where that is another one. */
export type SceneRedis = Pick<RedisService, "url"> & { readonly direct?: string };

interface Services {
  readonly redis: SceneRedis;
  readonly host: GpuHostService;
}

/** A separate pool on shared services: queue, media root, workers, and the expected outcome of its jobs. */
export class Scene implements AsyncDisposable {
  readonly prefix = `{crash-${randomBytes(6).toString("hex")}}`;
  readonly jobs: CrashJob[] = [];
  readonly workers: WorkerProcess[] = [];
  readonly mediaRoot: string;
  readonly name: string;
  readonly #temp: string;
  readonly #services: Services;
  /** Volumes of earlier scenes that have not expired yet. */
  readonly #earlier: ReadonlySet<string>;
  #client: Client | null = null;

  private constructor(name: string, folder: string, services: Services, earlier: ReadonlySet<string>) {
    this.name = name;
    this.mediaRoot = join(folder, "media");
    this.#temp = join(folder, "temp");
    this.#services = services;
    this.#earlier = earlier;
  }

  static async open(name: string, folder: string, services: Services) {
    const earlier = new Set((await services.host.stats()).volumes.list.map(({ id }) => id));
    const scene = new Scene(name, join(folder, randomBytes(6).toString("hex")), services, earlier);
    await mkdir(scene.mediaRoot, { recursive: true });
    await mkdir(scene.#temp);
    return scene;
  }

  /** Starts a worker and waits until it takes jobs; `FAULT_POINT` says where it is to break. */
  async worker(env: Record<string, string> = {}, program?: string): Promise<WorkerProcess> {
    const worker = await startWorkerProcess(
      this.mediaRoot,
      { ...this.#environment(), ...env },
      ...(program === undefined ? [] : [[program, "worker"]]),
      ...(env["FAULT_POINT"] === undefined ? [] : [[programFile("faulty-worker")]]),
    );
    this.workers.push(worker);
    return worker;
  }

  /** Runs one of our commands to its end, with the settings of the workers. */
  async command(...args: string[]): Promise<CommandResult> {
    return await runCommand(args, { cwd: this.mediaRoot, env: this.#environment() });
  }

  #environment(): Record<string, string> {
    const { redis, host } = this.#services;
    return {
      REDIS_URL: redis.url,
      MIRUMOJI_QUEUE_PREFIX: this.prefix,
      HOST_MEDIA_PATH: this.mediaRoot,
      MODAL_SERVER_URL: host.serverUrl,
      MODAL_TOKEN_ID: host.tokenId,
      MODAL_TOKEN_SECRET: host.tokenSecret,
      MIRUMOJI_HANDLER: HANDLER,
      TMPDIR: this.#temp,
      ...SETTINGS,
    };
  }

  /** Submits a job whose input no other job has, and whose call takes `callSeconds`; its output is beside its input. */
  async submit(
    type: JobType,
    { callSeconds = 0.1, extraBytes = 0, folder = "", webhookUrl = "" } = {},
  ): Promise<CrashJob> {
    const base = join(folder, `wait${callSeconds}-${this.jobs.length}`);
    await mkdir(join(this.mediaRoot, folder), { recursive: true });
    const input = withFreeBox(
      await readFile(SHORT_SAMPLE),
      Buffer.concat([randomBytes(16), randomBytes(extraBytes)]),
    );
    await writeFile(join(this.mediaRoot, `${base}.mkv`), input);
    const { id } = await (
      await this.client()
    ).submit(type, {
      input: `${base}.mkv`,
      ...(webhookUrl === "" ? {} : { webhook: { url: webhookUrl } }),
    });
    const digest = createHash("sha256").update(input).digest("hex");
    const job: CrashJob = {
      id,
      type,
      inputPath: `${base}.mkv`,
      outputPath: type === "transcribe" ? `${base}.srt` : `${base}.mp4`,
      output:
        type === "transcribe" ? subtitles(digest) : Buffer.concat([Buffer.from(digest), input.toReversed()]),
    };
    this.jobs.push(job);
    return job;
  }

  async client(): Promise<Client> {
    this.#client ??= await createClient({ redisUrl: this.#services.redis.url, queuePrefix: this.prefix });
    return this.#client;
  }

  /** Waits until the server says of a job's call that it runs, or that it is in another state; gives the call. */
  async callIs(job: CrashJob, status: CallStats["status"] = "running"): Promise<CallStats> {
    for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await sleep(50)) {
      const { calls } = await this.#services.host.stats();
      const call = calls.list.find(({ path }) => path.startsWith(`${job.id}/`));
      if (call?.status === status) return call;
    }
    throw new Error(`${this.name}: no call of job ${job.id} is ${status}\n${this.logs()}`);
  }

  /** Looks at a job until it matches; Redis may be away meanwhile. */
  async seen(job: CrashJob, matches: (view: JobView) => boolean): Promise<JobView> {
    const deadline = Date.now() + PATIENCE_MS;
    let last: unknown = null;
    while (Date.now() < deadline) {
      try {
        const view = await (await this.client()).get(job.id);
        last = view;
        if (matches(view)) return view;
      } catch (error) {
        last = error;
        await this.#client?.close();
        this.#client = null;
      }
      await sleep(25);
    }
    throw new Error(`${this.name}: never seen of job ${job.id}: ${JSON.stringify(last)}\n${this.logs()}`);
  }

  /** Waits for the end of every job, then holds the scene to all that must be true of it, and records it. */
  async expectAllWell(expectation: Expectation = {}): Promise<readonly Row[]> {
    const { status = "completed" } = expectation;
    const { host, redis } = this.#services;
    const views = await Promise.all(
      this.jobs.map(async (job) => await this.seen(job, (view) => isFinal(view.status))),
    );
    const calls = (await host.stats()).calls.list;
    const callsOf = (job: CrashJob) => calls.filter(({ path }) => path.startsWith(`${job.id}/`));
    const wrong = await Promise.all(
      this.jobs.map(
        async (job, index) => await this.#wrongWith(job, views[index], callsOf(job).length, expectation),
      ),
    ).then((lists) => lists.flat());
    const left = await this.#cleared(expectation.mostUnanswered ?? 0);
    const rows = (expectation.cases ?? [{ name: this.name, jobs: this.jobs }]).map((row) => ({
      case: row.name,
      runs: row.jobs.length,
      completed: row.jobs.filter(({ id }) => views.find((view) => view.id === id)?.status === status).length,
      callsStarted: row.jobs.reduce((sum, job) => sum + callsOf(job).length, 0),
      volumesLeft: left.volumes,
      volumesExpiring:
        left.unanswered + left.orphans.filter(({ jobId }) => row.jobs.some(({ id }) => id === jobId)).length,
      recoverySeconds: this.#recovery(row),
    }));
    for (const row of rows) record(row);
    wrong.push(...left.problems, ...(await this.#wrongFiles(status)));
    const events = await terminalEvents(redis.direct ?? redis.url, this.prefix);
    for (const job of this.jobs) {
      const ends = events.filter(({ jobId }) => jobId === job.id).map(({ event }) => event);
      if (ends.length !== 1) wrong.push(`${job.type} ended ${ends.length} times: ${ends.join(", ")}`);
    }
    expect(wrong, `${this.name}\n${wrong.length > 0 ? this.logs() : ""}`).toEqual([]);
    return rows;
  }

  async #wrongWith(
    job: CrashJob,
    view: JobView | undefined,
    calls: number,
    { status = "completed", mostCalls = 1, mostAttempts = Infinity }: Expectation,
  ): Promise<string[]> {
    const wrong: string[] = [];
    if (view?.status !== status) wrong.push(`ended ${view?.status}: ${JSON.stringify(view?.error)}`);
    const attempts = Math.max(0, ...(view?.states ?? []).map((state) => state.attempts));
    if (attempts > mostAttempts) wrong.push(`spent ${attempts} attempts`);
    if (calls > mostCalls) wrong.push(`started ${calls} calls`);
    if (status === "completed" && !(await this.#hasOutput(job))) wrong.push("wrong output");
    return wrong.map((what) => `${job.type}: ${what}`);
  }

  /** Logs of all workers, for failure messages. */
  logs(): string {
    return this.workers.map((worker, index) => `--- worker ${index}\n${worker.log()}`).join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.workers.map(async (worker) => await worker.kill("SIGKILL")));
    await this.#client?.close();
  }

  async #hasOutput(job: CrashJob): Promise<boolean> {
    const found = await readFile(join(this.mediaRoot, job.outputPath)).catch(() => null);
    return found?.equals(job.output) ?? false;
  }

  /** Waits for the books and the server to be clear; what a crash left is removed within some heartbeats. */
  async #cleared(mostUnanswered: number) {
    const { host, redis } = this.#services;
    for (const deadline = Date.now() + 20_000; ; await sleep(100)) {
      const problems = await foreignKeys(redis.direct ?? redis.url, this.prefix, this.jobs);
      const { volumes, calls } = await host.stats();
      const live = volumes.list.filter(({ id }) => !this.#earlier.has(id));
      const { known, orphans, unexplained } = accountFor(live, this.workers);
      const unanswered = Math.min(unexplained.length, mostUnanswered);
      const left = known.length + unexplained.length - unanswered;
      if (left > 0) problems.push(`${left} volumes live: ${JSON.stringify({ known, unexplained })}`);
      if (calls.running > 0) problems.push(`${calls.running} calls run`);
      if (problems.length === 0 || Date.now() > deadline) {
        return { volumes: left, orphans, unanswered, problems };
      }
    }
  }

  /** Files that are neither input nor output, also among the temporary ones. */
  async #wrongFiles(status: JobStatus): Promise<string[]> {
    const known = this.jobs.flatMap(({ inputPath, outputPath }) =>
      status === "completed" ? [inputPath, outputPath] : [inputPath],
    );
    const files = (await readdir(this.mediaRoot, { recursive: true, withFileTypes: true })).flatMap((entry) =>
      entry.isDirectory() ? [] : relative(this.mediaRoot, join(entry.parentPath, entry.name)),
    );
    const media = files.filter((name) => !known.includes(name));
    return [...media, ...(await readdir(this.#temp))].map((name) => `left over: ${name}`);
  }

  /** The first job of each type that a worker took. */
  takenBy(worker: WorkerProcess): CrashJob[] {
    const ids = eventsOf(worker, "job.started").map(({ jobId }) => jobId);
    const jobs = ids.flatMap((id) => this.jobs.find((job) => job.id === id) ?? []);
    return JOB_TYPES.flatMap((type) => jobs.find((job) => job.type === type) ?? []);
  }

  /** Seconds; null where nobody had to take anything up. */
  #recovery({ jobs, diedAt, backAt }: Case): number | null {
    const since = diedAt ?? backAt ?? Infinity;
    const name = diedAt === undefined ? "job.moved" : "job.started";
    const after = this.workers.flatMap((worker) => eventsOf(worker, name)).filter(({ time }) => time > since);
    const firsts = jobs.flatMap(({ id }) => after.find(({ jobId }) => jobId === id)?.time ?? []);
    if (firsts.length === 0) return null;
    const end = diedAt === undefined ? Math.min(...firsts) : Math.max(...firsts);
    return Math.round((end - since) / 100) / 10;
  }
}

/** The film with bytes that players skip, so that every input differs. */
function withFreeBox(film: Buffer, content: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(content.length + 8);
  head.write("free", 4);
  return Buffer.concat([film, head, content]);
}

function subtitles(digest: string): Buffer {
  const segments = [{ start: 0, end: 1, text: digest }];
  return Buffer.from(
    renderTranscript(
      "srt",
      { v: 1, language: "en", segments },
      { engine: "crash-test", options: transcribeRequestSchema.parse({ v: 1, input: "film.mp4" }) },
    ),
  );
}
