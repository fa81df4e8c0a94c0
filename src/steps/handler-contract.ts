import { z } from "zod";
import { isErrorCode, MirumojiError } from "../job/errors.ts";
import { type FileResult, fileResultSchema } from "../job/facts.ts";
import { type Transcript, transcriptSchema } from "../subtitles/transcript.ts";

const handlerResultSchema = z.discriminatedUnion("ok", [
  z.object({
    v: z.literal(1),
    ok: z.literal(true),
    path: z.string(),
    sha256: z.string().optional(),
    engine: z.string().optional(),
    encoder: z.string().optional(),
    model: z.string().optional(),
    language: z.string().optional(),
    languageProbability: z.number().nullish(),
    speechSeconds: z.number().nullish(),
    droppedSegments: z.number().optional(),
    mediaSeconds: z.number(),
    gpuSeconds: z.number(),
    seconds: z.unknown().optional(),
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
  const { engine, encoder, languageProbability, speechSeconds, ...rest } = parsed.data;
  const result = fileResultSchema.safeParse({
    ...rest,
    engine: engine ?? encoder,
    languageProbability: languageProbability ?? undefined,
    speechSeconds: speechSeconds ?? undefined,
  });
  if (!result.success) throw invalid(z.prettifyError(result.error));
  return result.data;
}

/** @throws MirumojiError `FUNCTION_RESULT_INVALID` */
export function parseSegments(text: string): Transcript {
  try {
    return transcriptSchema.parse(JSON.parse(text));
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
