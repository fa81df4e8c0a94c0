/**
 * The producer SDK: what backend services import to hand over files and get subtitles or an MP4 back.
 *
 * @example
 * await using client = await createClient({ redisUrl: "redis://127.0.0.1:6379" });
 * const { id } = await client.submit("transcribe", { input: "films/ep1.mkv", formats: ["srt", "vtt"] });
 * const job = await client.wait(id);
 */
import { processTracing } from "./config/load.ts";
import { VERSION } from "./config/version.ts";
import type { BatchJobs } from "./client/batches.ts";
import type { Jobs, TranscriptReader } from "./client/contract.ts";
import { createHttpJobs, type HttpJobs } from "./client/http-client.ts";
import { MirumojiError, toMirumojiError } from "./job/errors.ts";
import { DEFAULT_PREFIX } from "./queue/keys.ts";
import type { RedisClient } from "./queue/redis-client.ts";
import type { Tracing } from "./telemetry/trace-contract.ts";
import { NO_TRACING, openTracing } from "./telemetry/tracing.ts";

export {
  type ConvertOptions,
  type ConvertRequest,
  convertRequestSchema,
  JOB_TYPES,
  type JobType,
  type RequestOptions,
  SUBTITLE_FORMATS,
  type SubtitleFormat,
  type TranscribeOptions,
  type TranscribeRequest,
  transcribeRequestSchema,
} from "./job/contract.ts";
export { type ErrorCode, type ErrorKind, MirumojiError } from "./job/errors.ts";
export type { OutputFile } from "./job/facts.ts";
export type { JobReport, JobStatus, JobView, StepProgress } from "./job/summary.ts";
export type { LayoutWish, ReformatOptions } from "./job/reformat.ts";
export type { JobFilter, JobPage, JobQuery, Jobs, Submitted, TranscriptReader } from "./client/contract.ts";
export type { BatchJobs, BatchRequest, BatchWaitOptions } from "./client/batches.ts";
export type { BatchView } from "./job/batch.ts";
export type { WaitOptions, WatchOptions } from "./client/follow-jobs.ts";

export type { HttpJobs } from "./client/http-client.ts";

/** A client that speaks to Redis itself, with BullMQ and ioredis. */
export interface RedisClientOptions {
  /** The Redis that the workers use, in any of the forms that `REDIS_URL` takes. */
  readonly redisUrl: string;
  /** File with the certificates of the authorities that Redis' certificate may come from, as PEM. */
  readonly redisCa?: string;
  /**
   * Prefix of every key, with braces.
   *
   * @defaultValue `{mirumoji}`, like `MIRUMOJI_QUEUE_PREFIX` of the workers
   */
  readonly queuePrefix?: string;
  /** The media root, where this program has it too: `reformat` writes there. */
  readonly mediaRoot?: string;
  /**
   * How long a call waits for a Redis that is away before it throws `REDIS_UNAVAILABLE`, in milliseconds. The client
   * connects again by itself, however long that takes.
   *
   * @defaultValue 30,000
   */
  readonly retryMs?: number;
}

/** A client that speaks HTTP. */
export interface HttpClientOptions {
  /** Address of `mirumoji-worker api`, such as `https://media.example/mirumoji`. */
  readonly apiUrl: string;
  /** Made by `mirumoji-worker keys create`. */
  readonly apiKey: string;
  /**
   * How long what can be repeated is tried again while the API or its Redis is away, in milliseconds.
   *
   * @defaultValue 30,000
   */
  readonly retryMs?: number;
}

export type ClientOptions = RedisClientOptions | HttpClientOptions;

/** Submits jobs and looks at them. Close it with `await client.close()` or `await using`. */
export interface Client extends Jobs, TranscriptReader, AsyncDisposable {
  /** Many jobs that are accepted together, and have one end. */
  readonly batches: BatchJobs;
  close(): Promise<void>;
}

/** A client over HTTP, which reads outputs too. */
export interface HttpClient extends Client, HttpJobs {}

/**
 * Connects to Redis or, with `apiUrl`, to the HTTP API; jobs are handled by the same calls. Over Redis, traces of the
 * submitted jobs begin here when OpenTelemetry's variables name a collector, inside the caller's own trace if there is
 * one.
 *
 * @throws MirumojiError `REDIS_UNAVAILABLE`; over HTTP, where nothing is asked yet, nothing
 */
export async function createClient(options: HttpClientOptions): Promise<HttpClient>;
export async function createClient(options: RedisClientOptions): Promise<Client>;
export async function createClient(options: ClientOptions): Promise<Client>;
export async function createClient(options: ClientOptions): Promise<Client> {
  if ("apiUrl" in options) {
    const { jobs, batches, close } = createHttpJobs(options);
    const end = async () => await Promise.resolve(close());
    return { ...jobs, batches, close: end, [Symbol.asyncDispose]: end };
  }
  const { openRedisClient } = await redisModule();
  const client = await openRedisClient(
    {
      REDIS_URL: options.redisUrl,
      MIRUMOJI_REDIS_CA: options.redisCa,
      MIRUMOJI_QUEUE_PREFIX: options.queuePrefix ?? DEFAULT_PREFIX,
      MIRUMOJI_REDIS_RETRY: options.retryMs === undefined ? undefined : options.retryMs / 1000,
    },
    await clientTracing(),
  );
  const close = async () => await client[Symbol.asyncDispose]();
  const transcripts = transcriptReader(client, options.mediaRoot ?? null);
  return { ...client.jobs, ...transcripts, batches: client.batches, close, [Symbol.asyncDispose]: close };
}

/** Loaded when it is needed: most programs that speak to Redis lay no text out. */
function transcriptReader(client: RedisClient, folder: string | null): TranscriptReader {
  const open = async () => {
    const { openTranscriptReader } = await import("./compose/transcripts.ts").catch((cause: unknown) => {
      const what =
        "to lay text out, install the packages ass-compiler, budoux, get-east-asian-width and subtitle";
      throw new MirumojiError("PROGRAM_MISSING", what, { cause });
    });
    return await openTranscriptReader(client, folder);
  };
  return {
    readTranscript: async (...call) => await (await open()).readTranscript(...call),
    reformat: async (...call) => await (await open()).reformat(...call),
  };
}

/** Loaded when it is needed: programs that speak HTTP install neither BullMQ nor ioredis. */
async function redisModule() {
  try {
    return await import("./queue/redis-client.ts");
  } catch (cause) {
    throw new MirumojiError("PROGRAM_MISSING", "to speak to Redis, install the packages bullmq and ioredis", {
      cause,
    });
  }
}

/** The variables are the program's, not ours: what we cannot use of them must not stop it. */
async function clientTracing(): Promise<Tracing> {
  const onProblem = (message: string) => process.emitWarning(message, "MirumojiWarning");
  try {
    return await openTracing(processTracing(), {
      role: "client",
      version: VERSION,
      onProblem,
    });
  } catch (error) {
    onProblem(`no traces: ${toMirumojiError(error).message}`);
    return NO_TRACING;
  }
}
