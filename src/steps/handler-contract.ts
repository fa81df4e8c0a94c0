import { z } from "zod";
import { type JobRequest, type JobType, REQUEST_SCHEMAS, type TranscribeRequest } from "../job/contract.ts";
import { isErrorCode, MirumojiError } from "../job/errors.ts";
import { type FactsAt, type FileResult, fileResultSchema } from "../job/facts.ts";
import type { CallInput } from "../ports/calls.ts";

/**
 * The arguments of `container/mirumoji_gpu`, or of the image's own function, with the signatures of Mirumoji:
 * `transcribe(vol_fp, vol_id, output_format, *, w_model_args, w_transcribe_args)` and
 * `convert(vol_fp, vol_id, to_mp4_kwargs)`.
 */
export function callInput(
  job: JobRequest,
  facts: FactsAt["call"],
  imageFunction: string | undefined,
): CallInput {
  if (job.type === "convert") {
    const {
      v: _v,
      input: _input,
      output: _output,
      resolution,
      target_bitrate,
      preset,
      tenant: _tenant,
      tags: _tags,
      overwrite: _overwrite,
      ...more
    } = job.request;
    return {
      args: [facts.remotePath, facts.volumeId],
      kwargs: { to_mp4_kwargs: { resolution, target_bitrate, preset, ...notDefault("convert", more) } },
    };
  }
  // Labels and rules for files are for people and workers; the function is given what it works by.
  const { v: _w, input: _i, output: _o, formats: _f, tenant: _t, tags: _g, ...options } = job.request;
  const { audio_track, dual_mono, overwrite: _r, ...whisper } = options;
  // A track that was sent alone is the one that was asked for.
  const sound = facts.audioOnly === true ? {} : notDefault("transcribe", { audio_track, dual_mono });
  const outputFormat = imageFunction === undefined ? "segments" : outputFormatFor(job.request);
  return {
    args: [facts.remotePath, facts.volumeId, outputFormat],
    kwargs: { w_model_args: null, w_transcribe_args: { ...whisper, ...sound } },
  };
}

/** Options that Mirumoji's own functions do not know are only sent where somebody asks for them. */
function notDefault(type: JobType, options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const shape: Readonly<Record<string, z.ZodType>> = REQUEST_SCHEMAS[type].shape;
  return Object.fromEntries(
    Object.entries(options).filter(([name, value]) => shape[name]?.parse(undefined) !== value),
  );
}

/** Format requested from the image's own `transcribe`: every format but `joined` can be made from SRT. */
export function outputFormatFor({ formats }: Pick<TranscribeRequest, "formats">): "srt" | "joined" {
  return formats.some((format) => format !== "joined") ? "srt" : "joined";
}

const handlerResultSchema = z.discriminatedUnion("ok", [
  z.object({
    v: z.literal(1),
    ok: z.literal(true),
    path: z.string(),
    sha256: z.string().optional(),
    engine: z.string().optional(),
    encoder: z.string().optional(),
    mediaSeconds: z.number(),
    gpuSeconds: z.number(),
    tracks: z.unknown().optional(),
    warnings: z.array(z.string()).default([]),
  }),
  z.object({
    v: z.literal(1),
    ok: z.literal(false),
    error: z.object({ code: z.string(), message: z.string() }),
  }),
]);

/**
 * Parses the handler's result.
 *
 * @throws MirumojiError with the handler's own code, or `FUNCTION_RESULT_INVALID`
 */
export function parseHandlerResult(value: unknown): FileResult {
  const parsed = handlerResultSchema.safeParse(value);
  if (!parsed.success) throw invalid(z.prettifyError(parsed.error));
  if (!parsed.data.ok) {
    const { code, message } = parsed.data.error;
    throw new MirumojiError(isErrorCode(code) ? code : "ENGINE_FAILED", message);
  }
  const { path, sha256, engine, encoder, mediaSeconds, gpuSeconds, tracks, warnings } = parsed.data;
  const result = fileResultSchema.safeParse({
    path,
    sha256,
    engine: engine ?? encoder,
    mediaSeconds,
    gpuSeconds,
    tracks,
    warnings,
  });
  if (!result.success) throw invalid(z.prettifyError(result.error));
  return result.data;
}

/** The segments file that `transcribe` leaves in the volume. */
const segmentsSchema = z.object({
  v: z.literal(1),
  language: z.string(),
  segments: z.array(
    z.object({
      /** Seconds from the start of the media. */
      start: z.number().nonnegative(),
      end: z.number().nonnegative(),
      text: z.string(),
      avgLogProb: z.number().optional(),
      noSpeechProb: z.number().optional(),
      compressionRatio: z.number().optional(),
    }),
  ),
});
export type Transcript = z.output<typeof segmentsSchema>;

/** @throws MirumojiError `FUNCTION_RESULT_INVALID` */
export function parseSegments(text: string): Transcript {
  try {
    return segmentsSchema.parse(JSON.parse(text));
  } catch (cause) {
    const why = cause instanceof z.ZodError ? z.prettifyError(cause) : String(cause);
    throw invalid(`the segments file: ${why}`, cause);
  }
}

function invalid(why: string, cause?: unknown): MirumojiError {
  return new MirumojiError(
    "FUNCTION_RESULT_INVALID",
    `the function's result does not match the contract: ${why}; does the image's handler belong to this worker?`,
    { cause },
  );
}
