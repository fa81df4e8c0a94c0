import { z } from "zod";
import { webhookSchema } from "./webhooks.ts";
import { layoutOptions, speechOptions, whisperOptions } from "./transcribe-options.ts";

/** The version that producers write into `v`. A worker refuses versions it does not know. */
export const CONTRACT_VERSION = 1;

/** Both job types; each has a queue of its own name. */
export const JOB_TYPES = ["transcribe", "convert"] as const;
export type JobType = (typeof JOB_TYPES)[number];

/** Whether a name is one of the job types. */
export function isJobType(name: unknown): name is JobType {
  return JOB_TYPES.some((type) => type === name);
}

/** Subtitle and text formats; several come from one GPU run. */
export const SUBTITLE_FORMATS = ["srt", "vtt", "ass", "lrc", "tsv", "json", "txt", "joined"] as const;
export type SubtitleFormat = (typeof SUBTITLE_FORMATS)[number];

const version = z.literal(CONTRACT_VERSION).describe("Version of this contract.");

const OBJECT = "an object of a store that the operator has set up (`s3://connection/bucket/key`)";
const INPUT_ELSEWHERE = `a URL (\`https://\`), whose query is kept secret, or ${OBJECT}`;
const OUTPUT_ELSEWHERE = `a URL signed for PUT (\`https://\`), which takes one file, or ${OBJECT}`;

/** Pattern of what `checkMediaPath` refuses, for readers of the schema; the check itself has an error of its own. */
const PATH_PATTERN = String.raw`^(?:(?:https?|s3)://[^\0\s]+|(?![/\\])(?![A-Za-z]:[/\\])(?!([^\0]*[/\\])?\.\.([/\\]|$))[^\0]+)$`;

const mediaPath = (what: string, elsewhere: string) =>
  z
    .string()
    .min(1)
    .max(4096)
    .meta({ pattern: PATH_PATTERN })
    .describe(
      `${what} Relative to the media root (HOST_MEDIA_PATH); it must stay inside it. Or ${elsewhere}.`,
    );

/** Labels by which jobs are found and told apart; the work is the same without them. */
const labels = {
  tenant: z
    .string()
    .regex(/^[\w.-]{1,64}$/, "must be 1 to 64 letters, digits, dots, dashes and underscores")
    .optional()
    .describe("The customer for whom the job is done."),
  tags: z
    .array(z.string().regex(/^[\w.:-]{1,64}$/, "must be 1 to 64 letters, digits and any of . : _ -"))
    .max(16)
    .optional()
    .describe("Words to find the job by, such as a project or an episode."),
};

/** When a job has its turn; the work is the same without them. */
const turn = {
  priority: z
    .int()
    .min(-10)
    .max(10)
    .optional()
    .describe("Jobs of the same tenant with a higher priority have their turn first. Default 0."),
  run_at: z.iso
    .datetime({ offset: true })
    .optional()
    .describe("Not before this moment, such as `2027-01-31T22:00:00Z`."),
  delay_seconds: z
    .number()
    .min(0)
    .max(366 * 86_400)
    .optional()
    .describe("Not before so many seconds after the submit."),
};
const webhook = webhookSchema.optional();
const overwrite = z
  .boolean()
  .optional()
  .describe("Whether outputs replace files that are there; without it a job whose output exists is refused.");

const formats = z
  .array(z.enum(SUBTITLE_FORMATS))
  .min(1)
  .max(SUBTITLE_FORMATS.length)
  .refine((list) => new Set(list).size === list.length, "has the same format twice")
  .meta({ uniqueItems: true })
  .default(["srt"])
  .describe("Files to write; `joined` is the segment texts joined by the Japanese full stop.");

const audioTrack = z
  .int()
  .min(1)
  .max(1000)
  .nullable()
  .default(null)
  .describe(
    "Audio track, counted from 1 as players do. Default: chosen by language, default flag and order.",
  );

const dualMono = z
  .enum(["both", "left", "right"])
  .default("both")
  .describe("Channel of a dual-mono broadcast, whose channels carry two programmes.");

/** A transcribe job as producers write it. */
export const transcribeRequestSchema = z
  .strictObject({
    v: version,
    input: mediaPath("The media file to transcribe.", INPUT_ELSEWHERE),
    output: mediaPath(
      "Where the result goes; each format puts its extension in place of this one. Default: beside the input, or for a URL in the media root.",
      OUTPUT_ELSEWHERE,
    ).optional(),
    ...labels,
    ...turn,
    webhook,
    overwrite,
    formats,
    language: z
      .string()
      .regex(/^(?:[a-z]{2,3}|auto)$/, "must be a language code such as `ja` or `en`, or `auto`")
      .default("ja")
      .describe("Spoken language, ISO 639 code; `auto` finds it out."),
    audio_track: audioTrack,
    dual_mono: dualMono,
    language_confidence: z
      .number()
      .min(0)
      .max(1)
      .default(0.5)
      .describe("With `language: auto`, how sure the engine must be; otherwise the job fails."),
    task: z
      .enum(["transcribe", "translate"])
      .default("transcribe")
      .describe("`translate` writes English, whatever is spoken."),
    model: z
      .string()
      .min(1)
      .max(1000)
      .nullable()
      .default(null)
      .describe(
        "One of the models that the operator allows (MIRUMOJI_WHISPER_MODELS). Default: the operator's.",
      ),
    ...whisperOptions,
    ...speechOptions,
    ...layoutOptions,
    fix: z
      .boolean()
      .default(false)
      .describe(
        "Let a language model correct misheard words (MIRUMOJI_LLM_URL). Times stay; what it cannot do stays as it was, with a warning.",
      ),
    translate_to: z
      .string()
      .regex(/^[a-z]{2,3}$/, "must be a language code such as `ja` or `en`")
      .nullable()
      .default(null)
      .describe("Let the language model translate into this language, ISO 639 code."),
    clean_audio: z
      .boolean()
      .default(false)
      .describe("Band-pass 300 to 3400 Hz and loudness normalisation before transcribing."),
    cache: z
      .int()
      .min(0)
      .max(2_592_000)
      .nullable()
      .default(null)
      .describe(
        "Take the transcript of an earlier job of the same tenant, if it is of the very same sound with the same options and at most so many seconds old, and spend no GPU on it; 0 takes none. Default: the operator's (MIRUMOJI_CACHE).",
      ),
    parallel: z
      .int()
      .min(1)
      .max(64)
      .nullable()
      .default(null)
      .describe(
        "Most containers that share the film, cut at its pauses; each has to start and to load the model. Default: the operator's (MIRUMOJI_PARALLEL).",
      ),
  })
  .meta({ title: "Transcribe request", description: "A transcribe job, version 1." });

/** 16 to 16384. */
const SIDE = "(1[6-9]|[2-9]\\d|[1-9]\\d{2,3}|1[0-5]\\d{3}|16[0-2]\\d{2}|163[0-7]\\d|1638[0-4])";
const evenSize = z
  .string()
  .regex(/^[1-9]\d{1,4}x[1-9]\d{1,4}$/, "must look like 1280x720")
  .refine(
    (size) => size.split("x").every((side) => Number(side) >= 16 && Number(side) <= 16_384),
    "must have sides of 16 to 16384 pixels",
  )
  .meta({ pattern: `^${SIDE}x${SIDE}$` });

/** Whether encoders can hold such a bit rate at all. */
function isUsableBitrate(text: string): boolean {
  const bits = Number.parseInt(text, 10) * (text.endsWith("M") ? 1e6 : text.endsWith("k") ? 1e3 : 1);
  return bits >= 32_000 && bits <= 400_000_000;
}

/** A convert job as producers write it. */
export const convertRequestSchema = z
  .strictObject({
    v: version,
    input: mediaPath("The media file to convert.", INPUT_ELSEWHERE),
    output: mediaPath(
      "The MP4 to write. Default: beside the input, or for a URL in the media root.",
      OUTPUT_ELSEWHERE,
    ).optional(),
    ...labels,
    ...turn,
    webhook,
    overwrite,
    resolution: evenSize
      .default("1280x720")
      .describe(
        "Largest frame, its longer side for the picture's longer side; the aspect is kept and the source never enlarged.",
      ),
    target_bitrate: z
      .string()
      .regex(/^[1-9]\d{0,8}[kM]?$/, "must look like 2500k or 4M")
      .refine(isUsableBitrate, "must be from 32k to 400M")
      .default("2500k")
      .describe("Average video bit rate, bits per second, with k or M; from 32k to 400M."),
    crf: z
      .int()
      .min(0)
      .max(51)
      .nullable()
      .default(null)
      .describe("Constant quality, 0 (best) to 51, in place of a bit rate."),
    codec: z
      .enum(["h264", "hevc", "av1"])
      .default("h264")
      .describe("Video codec; `hevc` and `av1` need an encoder beside the GPU."),
    copy: z
      .boolean()
      .default(false)
      .describe(
        "Take the streams over as they are when they fit already; that takes seconds, and no encoder.",
      ),
    deinterlace: z
      .enum(["auto", "double", "off"])
      .default("auto")
      .describe("Fields of an interlaced picture to frames; `double` makes a frame of each field."),
    language: z
      .string()
      .regex(/^[a-z]{2,3}$/, "must be a language code such as `ja` or `en`")
      .nullable()
      .default(null)
      .describe("Language of the sound that a player takes first, ISO 639 code."),
    audio_track: audioTrack,
    dual_mono: dualMono,
    keep_all_audio: z
      .boolean()
      .default(true)
      .describe("Keep every audio track that can be decoded, not only the first choice."),
    keep_subtitles: z.boolean().default(true).describe("Keep subtitle tracks that are text."),
    preset: z
      .enum(["performance", "balanced", "quality"])
      .default("balanced")
      .describe("Speed against size."),
  })
  .meta({
    title: "Convert request",
    description: "A convert job, version 1: MP4 with faststart, H.264 and AAC by default.",
  });

/** Schema of each job type's request. */
export const REQUEST_SCHEMAS = {
  transcribe: transcribeRequestSchema,
  convert: convertRequestSchema,
} as const;

/** A request with every default filled in. */
export type TranscribeRequest = z.output<typeof transcribeRequestSchema>;
export type ConvertRequest = z.output<typeof convertRequestSchema>;
export interface Requests {
  transcribe: TranscribeRequest;
  convert: ConvertRequest;
}

/** A request as a producer may write it: `v` is put in by the SDK, defaults may be left out. */
export type TranscribeOptions = Omit<z.input<typeof transcribeRequestSchema>, "v">;
export type ConvertOptions = Omit<z.input<typeof convertRequestSchema>, "v">;
export interface RequestOptions {
  transcribe: TranscribeOptions;
  convert: ConvertOptions;
}

/** One job's request with its type, as the worker sees it. */
export type JobRequest = { [T in JobType]: { readonly type: T; readonly request: Requests[T] } }[JobType];
