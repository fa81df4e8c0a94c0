import { z } from "zod";
import { budgetVariables } from "./budget.ts";
import { parseGpuPrices } from "./gpu-prices.ts";
import { elsewhereVariables } from "./s3-connections.ts";
import { secretFileVariables } from "./secret-files.ts";
import { outboundVariables } from "./outbound.ts";
import { speechVariables } from "./speech.ts";
import { resourceVariables } from "./resources.ts";
import { tracingVariables } from "./tracing.ts";
import { uploadVariables } from "./uploads.ts";

const text = z.string().min(1);
const count = (min: number, max: number) =>
  z.coerce.number("must be a number").int("must be a whole number").min(min).max(max);
const seconds = (min: number, max: number) => z.coerce.number("must be a number").min(min).max(max);

const functionPath = z
  .string()
  .regex(
    /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$/u,
    "must look like module:function, such as mirumoji_jobs.transcription:transcribe_job",
  );
const objectName = z
  .string()
  .regex(/^[\w.-]{1,64}$/u, "must be 1 to 64 letters, digits, dots, dashes and underscores");

/**
 * Every environment variable that the product reads, with its default. `docs/configuration.md` is
 * generated from this object; nothing else looks at the environment.
 */
export const environmentSchema = z
  .object({
    REDIS_URL: z
      .string()
      .regex(/^rediss?(\+(sentinel|cluster))?:\/\/[^\s/]+/u, "must look like redis://host:6379")
      .default("redis://127.0.0.1:6379")
      .describe(
        "Redis that holds the queues; `redis+sentinel://` and `redis+cluster://` name several hosts, `rediss` stands for TLS ([forms](operations.md#redis)). Needs `maxmemory-policy noeviction`; AOF is recommended.",
      ),
    MIRUMOJI_REDIS_CA: text
      .optional()
      .describe(
        "File with the certificates of the authorities that Redis' certificate may come from, as PEM, in the place of those that Node knows.",
      ),
    MIRUMOJI_REDIS_RETRY: seconds(0, 3600)
      .default(30)
      .describe(
        "How long commands wait for a Redis that is away before they fail with `REDIS_UNAVAILABLE`, in seconds. Workers wait for ever; the HTTP API answers within 2 seconds.",
      ),
    MIRUMOJI_REDIS_REPLICAS: z
      .union([z.literal("auto"), z.coerce.number().int().min(0).max(10)])
      .default("auto")
      .describe(
        "How many replicas of Redis must have a call's ID before the call is started: `auto` is one while any is connected; with a number a job waits until so many have it.",
      ),
    MIRUMOJI_REDIS_REPLICAS_WAIT: seconds(0.1, 60)
      .default(2)
      .describe("How long replicas may take to say so, in seconds; then the job waits, and costs no try."),
    MIRUMOJI_QUEUE_PREFIX: z
      .string()
      .regex(
        /^\{[\w.-]+\}$/u,
        "must be a name in braces, such as {mirumoji} (the braces keep all keys in one slot)",
      )
      .default("{mirumoji}")
      .describe("Prefix of every key. Producers in other languages give it to BullMQ as `prefix`."),
    HOST_MEDIA_PATH: text
      .default("./media")
      .describe("Media root: every input and output path is relative to it."),
    MODAL_SERVER_URL: z
      .url({ protocol: /^https?$/u, error: "must look like https://host:port" })
      .default("https://api.modal.com")
      .describe("Modal's control plane, or the GPU host's `serverUrl`."),
    MODAL_TOKEN_ID: text.optional().describe("Modal token, or the GPU host's `tokenId`."),
    MODAL_TOKEN_SECRET: text
      .optional()
      .describe("Modal token secret, or the GPU host's `tokenSecret`. Never logged."),
    MODAL_ENVIRONMENT: text.optional().describe("Modal environment; empty means the workspace's default."),
    MODAL_APP_MODE: z
      .enum(["ephemeral", "deployed", "existing"])
      .default("ephemeral")
      .describe(
        "`ephemeral`: one app, shared by the pool, that ends with it. `deployed`: an app with a name, deployed when something changed; calls go on while every worker is down. `existing`: functions that somebody else deployed.",
      ),
    MIRUMOJI_MODAL_APP_NAME: objectName
      .default("mirumoji-gpu")
      .describe("Name of the app; in mode `existing`, of the app to look in."),
    MIRUMOJI_HANDLER: z
      .string()
      .regex(/(^|[/\\])[A-Za-z_]\w*\.py$/u, "must be a Python file whose name is that of a module")
      .optional()
      .describe("Your own handler file in place of the one that comes with the package."),
    MIRUMOJI_TRANSCRIBE_FUNCTION: functionPath
      .optional()
      .describe(
        "`module:function` that the image has inside, used in place of the handler's `transcribe`; it returns SRT or text. In mode `existing`, the part after the colon is the name that is looked up.",
      ),
    MIRUMOJI_CONVERT_FUNCTION: functionPath
      .optional()
      .describe(
        "The same for `convert`; it returns the output's path in the volume. With both set, nothing is mounted.",
      ),
    MIRUMOJI_MODAL_IMAGE: text
      .default("docker.io/svdc1/mirumoji-modal-gpu:3.2.0")
      .describe(
        "Container image with ffmpeg and a speech engine. The GPU host runs on this machine and ignores it.",
      ),
    MIRUMOJI_MODAL_REGISTRY_SECRET: objectName
      .optional()
      .describe(
        "Name of the Modal secret with `REGISTRY_USERNAME` and `REGISTRY_PASSWORD`, for an image in a private registry.",
      ),
    ...speechVariables,
    ...resourceVariables,
    MIRUMOJI_GPU_PRICES: z
      .string()
      .transform((table, context) => {
        const prices = parseGpuPrices(table);
        if (prices !== null) return prices;
        context.addIssue({
          code: "custom",
          message: "must look like 2026-05-07:A10G=1.10,L4=0.80 (a day, then USD per hour by GPU type)",
        });
        return z.NEVER;
      })
      .optional()
      .describe(
        "Prices that the estimate of the cost uses, as `2026-05-07:A10G=1.10,L4=0.80`: the day of the table, then USD per hour. `own` stands for a GPU host of your own, otherwise free. Without it Modal's list prices count.",
      ),
    ...budgetVariables,
    MIRUMOJI_MODAL_TIMEOUT: seconds(1, 86_400).default(3600).describe("Longest run of one call, in seconds."),
    MIRUMOJI_MODAL_STARTUP_TIMEOUT: seconds(1, 86_400)
      .optional()
      .describe(
        "Longest start of a container, image pull included, in seconds. Without it the limit of a call counts.",
      ),
    MIRUMOJI_MODAL_MIN_CONTAINERS: count(0, 1000)
      .optional()
      .describe("Containers of each function that stay warm, and are paid for, without any job."),
    MIRUMOJI_MODAL_MAX_CONTAINERS: count(1, 1000)
      .optional()
      .describe("Most containers of each function at a time. Without it Modal's limit counts."),
    MIRUMOJI_MODAL_REGIONS: z
      .string()
      .regex(/^[a-z0-9-]+(\s*,\s*[a-z0-9-]+)*$/u, "must be regions such as eu or us-east-1, with commas")
      .transform((regions) => regions.split(",").map((region) => region.trim()))
      .optional()
      .describe("Where containers may run, several with commas. Without it anywhere."),
    MIRUMOJI_CALL_WAIT: seconds(1, 604_800)
      .default(14_400)
      .describe("Longest wait for a call's result, queueing and cold start included, in seconds."),
    MIRUMOJI_QUEUE_WAIT: seconds(1, 31_536_000)
      .default(604_800)
      .describe("Longest wait in the queue before a job is first taken, in seconds; then it fails."),
    MIRUMOJI_JOB_DEADLINE: seconds(1, 31_536_000)
      .default(172_800)
      .describe("Longest life of a job from its first activation, retries and waiting included, in seconds."),
    MIRUMOJI_KEEP_FAILED: seconds(0, 604_800)
      .default(0)
      .describe(
        "How long a job that failed after its call keeps its volume and result for `retry`, in seconds; 0 keeps nothing.",
      ),
    MIRUMOJI_HEARTBEAT: seconds(0.5, 120)
      .default(60)
      .describe("How often live volumes are kept alive, in seconds."),
    MIRUMOJI_LEASE: seconds(1, 300)
      .default(15)
      .describe(
        "How long a worker that is not heard of keeps its jobs, in seconds. They are taken over after at most 5/3 of it; a worker that cannot reach Redis for this long loses them.",
      ),
    MIRUMOJI_TRANSCRIBE_CONCURRENCY: count(1, 1000)
      .default(4)
      .describe("Transcribe jobs that one worker runs at a time."),
    MIRUMOJI_CONVERT_CONCURRENCY: count(1, 1000)
      .default(4)
      .describe("Convert jobs that one worker runs at a time."),
    MIRUMOJI_MAX_TRANSFERS: count(1, 1000)
      .default(8)
      .describe(
        "Uploads and downloads that one worker moves at once; others wait their turn. All share 64 MiB of blocks.",
      ),
    MIRUMOJI_UPLOAD_AUDIO_ONLY: z
      .enum(["auto", "never", "always"])
      .default("auto")
      .describe(
        "Whether transcribe jobs send the audio track (16 kHz mono FLAC) in the place of the input. `auto`: when that is at least 1 MiB and 10 % less and ffmpeg can; `always` fails where it cannot.",
      ),
    MIRUMOJI_DRAIN: seconds(0, 3600)
      .default(20)
      .describe("How long a stopping worker may take to hand its jobs back, in seconds."),
    MIRUMOJI_LOGGING_LEVEL: z
      .string()
      .toLowerCase()
      .pipe(z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]))
      .default("info")
      .describe("Lowest level that is logged."),
    MIRUMOJI_HTTP_HOST: text.default("127.0.0.1").describe("Address of Bull Board, health and metrics."),
    MIRUMOJI_HTTP_PORT: count(0, 65_535)
      .default(9464)
      .describe("Port of Bull Board, health and metrics; 0 takes a free one."),
    MIRUMOJI_HTTP_PREFIX: z
      .string()
      .regex(/^(\/[\w.~-]+)+$/u, "must look like /mirumoji")
      .default("")
      .describe("Path that a proxy puts in front of everything that is served, such as `/mirumoji`."),
    ...uploadVariables,
    MIRUMOJI_TRUSTED_PROXIES: z
      .string()
      .regex(/^[\da-fA-F.:/]+(\s*,\s*[\da-fA-F.:/]+)*$/u, "must be addresses or networks, with commas")
      .transform((list) => list.split(",").map((address) => address.trim()))
      .default([])
      .describe(
        "Proxies whose word on the caller's address counts, such as `10.0.0.0/8`; for the audit log.",
      ),
    ...outboundVariables,
    BOARD_USERS: z
      .string()
      .regex(/^[^:,\s]+:[^,\s]+(,[^:,\s]+:[^,\s]+)*$/u, "must look like name:password, several with commas")
      .optional()
      .describe(
        "Who may log in to Bull Board, as `name:password,name:password`. Without it only loopback is served.",
      ),
    BOARD_WRITE: z
      .enum(["0", "1"])
      .default("0")
      .describe(
        "`1` lets Bull Board and the job pages cancel, retry, pause and remove; else they only show.",
      ),
    MIRUMOJI_MIN_FREE_DISK: count(0, 1_000_000)
      .default(256)
      .describe(
        "Free space of the media root below which a worker takes no jobs and `/readyz` says so, in MiB.",
      ),
    MIRUMOJI_GPU_HOST_DATA: text
      .default("./.mirumoji/gpu-host")
      .describe("Folder of the GPU host's volumes and state."),
    MIRUMOJI_GPU_HOST_ADDRESS: text.default("127.0.0.1").describe("Address that the GPU host listens on."),
    MIRUMOJI_GPU_HOST_PORT: count(0, 65_535)
      .default(0)
      .describe("gRPC port of the GPU host; 0 takes a free one."),
    MIRUMOJI_GPU_HOST_HTTP_PORT: count(0, 65_534)
      .default(0)
      .describe(
        "First of the two block store ports of the GPU host, one after the other; 0 takes free ones.",
      ),
    MIRUMOJI_GPU_HOST_CALLS: count(1, 64).default(1).describe("Calls that the GPU host runs at a time."),
    MIRUMOJI_GPU_HOST_WARM: count(0, 64)
      .default(1)
      .describe(
        "Processes of the GPU host that stay with their speech model in memory after a call, so that the next one need not load it; 0 keeps none.",
      ),
    MIRUMOJI_GPU_HOST_IDLE: seconds(1, 86_400)
      .default(300)
      .describe("How long such a process stays without a call, in seconds."),
    MIRUMOJI_GPU_HOST_TTL: seconds(1, 86_400)
      .default(600)
      .describe("How long the GPU host keeps a volume or an ephemeral app without a heartbeat, in seconds."),
    ...elsewhereVariables,
    ...tracingVariables,
    ...secretFileVariables,
  })
  .superRefine((environment, context) => {
    const { MIRUMOJI_MODAL_MIN_CONTAINERS: min, MIRUMOJI_MODAL_MAX_CONTAINERS: max } = environment;
    if (min === undefined || max === undefined || min <= max) return;
    context.addIssue({
      code: "custom",
      path: ["MIRUMOJI_MODAL_MIN_CONTAINERS"],
      message: `must not be more than MIRUMOJI_MODAL_MAX_CONTAINERS, which is ${max}`,
    });
  });

/** The environment, read and checked. */
export type Environment = z.output<typeof environmentSchema>;
export type EnvironmentName = keyof Environment;

/** Variables whose values are never shown. */
export const SECRET_NAMES: ReadonlySet<string> = new Set<EnvironmentName>([
  "MODAL_TOKEN_SECRET",
  "BOARD_USERS",
  "REDIS_URL",
  "MIRUMOJI_LLM_KEY",
  "OTEL_EXPORTER_OTLP_HEADERS",
  "MIRUMOJI_S3_CONNECTIONS",
]);
