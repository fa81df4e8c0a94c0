import { z } from "zod";

const text = z.string().min(1);
const count = (min: number, max: number) => z.coerce.number().int().min(min).max(max);
const seconds = (min: number, max: number) => z.coerce.number().min(min).max(max);

/**
 * Every environment variable that the product reads, with its default. `docs/configuration.md` is
 * generated from this object; nothing else looks at the environment.
 */
export const environmentSchema = z.object({
  REDIS_URL: z
    .url({ protocol: /^rediss?$/u })
    .default("redis://127.0.0.1:6379")
    .describe("Redis that holds the queues. Needs `maxmemory-policy noeviction`; AOF is recommended."),
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
    .url({ protocol: /^https?$/u })
    .default("https://api.modal.com")
    .describe("Modal's control plane, or the GPU host's `serverUrl`."),
  MODAL_TOKEN_ID: text.optional().describe("Modal token, or the GPU host's `tokenId`."),
  MODAL_TOKEN_SECRET: text
    .optional()
    .describe("Modal token secret, or the GPU host's `tokenSecret`. Never logged."),
  MODAL_ENVIRONMENT: text.optional().describe("Modal environment; empty means the workspace's default."),
  MIRUMOJI_MODAL_IMAGE: text
    .default("docker.io/svdc1/mirumoji-modal-gpu:3.2.0")
    .describe(
      "Container image with ffmpeg and a speech engine. The GPU host runs on this machine and ignores it.",
    ),
  MIRUMOJI_MODAL_GPU: z
    .string()
    .regex(/^[A-Z0-9-]+$/u, "must be a GPU name such as A10G")
    .default("A10G")
    .describe("GPU type. Convert needs one with NVENC to be fast: T4, L4, A10G, L40S, not A100 or H100."),
  MIRUMOJI_MODAL_TIMEOUT: seconds(1, 86_400)
    .default(3600)
    .describe("Longest run of one call, in seconds (start-up has the same limit again)."),
  MIRUMOJI_MODAL_SCALEDOWN_WINDOW: seconds(2, 3600)
    .default(60)
    .describe("How long an idle container is kept warm, in seconds."),
  MIRUMOJI_CALL_WAIT: seconds(1, 604_800)
    .default(14_400)
    .describe("Longest wait for a call's result, queueing and cold start included, in seconds."),
  MIRUMOJI_QUEUE_WAIT: seconds(1, 31_536_000)
    .default(604_800)
    .describe("Longest wait in the queue before a job is first taken, in seconds; then it fails."),
  MIRUMOJI_JOB_DEADLINE: seconds(1, 31_536_000)
    .default(172_800)
    .describe("Longest life of a job from its first activation, retries and waiting included, in seconds."),
  MIRUMOJI_HEARTBEAT: seconds(0.5, 120)
    .default(60)
    .describe("How often live volumes are kept alive, in seconds."),
  MIRUMOJI_TRANSCRIBE_CONCURRENCY: count(1, 1000)
    .default(4)
    .describe("Transcribe jobs that one worker runs at a time."),
  MIRUMOJI_CONVERT_CONCURRENCY: count(1, 1000)
    .default(4)
    .describe("Convert jobs that one worker runs at a time."),
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
  BOARD_USERS: z
    .string()
    .regex(/^[^:,\s]+:[^,\s]+(,[^:,\s]+:[^,\s]+)*$/u, "must look like name:password, several with commas")
    .optional()
    .describe(
      "Who may log in to Bull Board, as `name:password,name:password`. Without it only loopback is served.",
    ),
  MIRUMOJI_GPU_HOST_DATA: text
    .default("./.mirumoji/gpu-host")
    .describe("Folder of the GPU host's volumes and state."),
  MIRUMOJI_GPU_HOST_ADDRESS: text.default("127.0.0.1").describe("Address that the GPU host listens on."),
  MIRUMOJI_GPU_HOST_PORT: count(0, 65_535)
    .default(0)
    .describe("gRPC port of the GPU host; 0 takes a free one."),
  MIRUMOJI_GPU_HOST_HTTP_PORT: count(0, 65_535)
    .default(0)
    .describe("Block store port of the GPU host; 0 takes a free one."),
  MIRUMOJI_GPU_HOST_CALLS: count(1, 64).default(1).describe("Calls that the GPU host runs at a time."),
  MIRUMOJI_GPU_HOST_TTL: seconds(1, 86_400)
    .default(600)
    .describe("How long the GPU host keeps a volume or an ephemeral app without a heartbeat, in seconds."),
});

/** The environment, read and checked. */
export type Environment = z.output<typeof environmentSchema>;
export type EnvironmentName = keyof Environment;

/** Variables whose values are never shown. */
export const SECRET_NAMES: ReadonlySet<string> = new Set<EnvironmentName>([
  "MODAL_TOKEN_SECRET",
  "BOARD_USERS",
  "REDIS_URL",
]);
