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
import { toMirumojiError } from "./job/errors.ts";
import { openProducer } from "./queue/producer.ts";
import type { JobStore } from "./queue/job-store.ts";
import { DEFAULT_PREFIX } from "./queue/keys.ts";
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
export type { JobStore } from "./queue/job-store.ts";

export interface ClientOptions {
  /** The Redis that the workers use. */
  readonly redisUrl: string;
  /**
   * Prefix of every key, with braces.
   *
   * @defaultValue `{mirumoji}`, like `MIRUMOJI_QUEUE_PREFIX` of the workers
   */
  readonly queuePrefix?: string;
}

/** Submits jobs and looks at them. Close it with `await client.close()` or `await using`. */
export interface Client extends JobStore, AsyncDisposable {
  close(): Promise<void>;
}

/**
 * Connects to Redis. Traces of the submitted jobs begin here when OpenTelemetry's variables name a collector,
 * inside the caller's own trace if there is one.
 *
 * @throws MirumojiError `REDIS_UNAVAILABLE`
 */
export async function createClient(options: ClientOptions): Promise<Client> {
  const producer = await openProducer(
    {
      REDIS_URL: options.redisUrl,
      MIRUMOJI_QUEUE_PREFIX: options.queuePrefix ?? DEFAULT_PREFIX,
    },
    await clientTracing(),
  );
  const close = async () => await producer[Symbol.asyncDispose]();
  return { ...producer.store, close, [Symbol.asyncDispose]: close };
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
