import type { z } from "zod";
import { type JobRequest, type JobType, REQUEST_SCHEMAS, type TranscribeRequest } from "../job/contract.ts";
import type { FactsAt } from "../job/facts.ts";
import { speechOptions, whisperOptions } from "../job/transcribe-options.ts";
import type { CallInput } from "../ports/calls.ts";
import type { SpeechModels } from "./speech-models.ts";

interface InputOptions {
  readonly imageFunction: string | undefined;
  readonly models: SpeechModels;
  /** The part of the film that it is about; all of it without. */
  readonly part?: PartOptions;
}

/** A part of a film for the handler. */
export interface PartOptions {
  readonly number: number;
  readonly start: number;
  readonly end: number;
  /** The language of the film, where it has been found out. */
  readonly language?: string | undefined;
}

/**
 * The arguments of `container/mirumoji_gpu`, or of the image's own function, with the signatures of Mirumoji:
 * `transcribe(vol_fp, vol_id, output_format, *, w_model_args, w_transcribe_args)` and
 * `convert(vol_fp, vol_id, to_mp4_kwargs)`. Labels are for people and stay here.
 */
export function callInput(
  job: JobRequest,
  facts: FactsAt["call"],
  { imageFunction, models, part }: InputOptions,
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
      webhook: _webhook,
      ...more
    } = job.request;
    return {
      args: [facts.remotePath, facts.volumeId],
      kwargs: { to_mp4_kwargs: { resolution, target_bitrate, preset, ...notDefault("convert", more) } },
    };
  }
  const { request } = job;
  const { audio_track, dual_mono } = request;
  // A track that was sent alone is the one that was asked for.
  const sound = facts.audioOnly === true ? {} : notDefault("transcribe", { audio_track, dual_mono });
  if (imageFunction !== undefined) {
    return {
      args: [facts.remotePath, facts.volumeId, outputFormatFor(request)],
      kwargs: { w_model_args: null, w_transcribe_args: { ...curatedOptions(request), ...sound } },
    };
  }
  return {
    args: [facts.remotePath, facts.volumeId, "segments"],
    kwargs: {
      w_model_args: modelOptions(request, models),
      w_transcribe_args: { ...handlerOptions(request), ...sound, ...(part && partOptions(part)) },
    },
  };
}

/** How sure the language of a part is, is judged with all of the others. */
function partOptions({ language, ...part }: PartOptions): Record<string, unknown> {
  return { part, ...(language === undefined ? { language_confidence: 0 } : { language }) };
}

/** Options that Mirumoji's own functions do not know are only sent where somebody asks for them. */
function notDefault(type: JobType, options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const shape: Readonly<Record<string, z.ZodType>> = REQUEST_SCHEMAS[type].shape;
  return Object.fromEntries(
    Object.entries(options).filter(([name, value]) => shape[name]?.parse(undefined) !== value),
  );
}

/** The options that Mirumoji's own function has. */
function curatedOptions(request: TranscribeRequest) {
  return {
    language: request.language === "auto" ? null : request.language,
    beam_size: request.beam_size,
    best_of: request.best_of,
    patience: request.patience,
    length_penalty: request.length_penalty,
    temperature: request.temperature,
    compression_ratio_threshold: request.compression_ratio_threshold,
    log_prob_threshold: request.log_prob_threshold,
    no_speech_threshold: request.no_speech_threshold,
    condition_on_previous_text: request.condition_on_previous_text,
    initial_prompt: request.initial_prompt,
    vad_filter: request.vad_filter,
    clean_audio: request.clean_audio,
  };
}

const HANDLER_OPTIONS = new Set([
  "language",
  "language_confidence",
  "task",
  "clean_audio",
  ...Object.keys(whisperOptions),
  ...Object.keys(speechOptions),
]);

/** Options of our own handler; how subtitles look is decided here. */
export function handlerOptions(request: TranscribeRequest) {
  return Object.fromEntries(Object.entries(request).filter(([name]) => HANDLER_OPTIONS.has(name)));
}

/** Choice of a model; fields that are left out are decided beside the GPU. */
export function modelOptions({ model }: TranscribeRequest, models: SpeechModels) {
  const chosen = {
    model: model ?? models.model,
    device: models.device,
    compute_type: models.computeType,
    cache: models.cache,
  };
  return Object.fromEntries(Object.entries(chosen).filter(([, value]) => value !== undefined));
}

/** Format requested from the image's own `transcribe`: every format but `joined` can be made from SRT. */
export function outputFormatFor({ formats }: Pick<TranscribeRequest, "formats">): "srt" | "joined" {
  return formats.some((format) => format !== "joined") ? "srt" : "joined";
}
