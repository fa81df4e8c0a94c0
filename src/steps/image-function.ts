import { parseSync } from "subtitle";
import type { JobRequest } from "../job/contract.ts";
import { MirumojiError, toMirumojiError } from "../job/errors.ts";
import type { FactsAt, RemoteResult } from "../job/facts.ts";
import type { Transcript } from "../subtitles/transcript.ts";
import { outputFormatFor } from "./call-input.ts";
import { packText } from "./packed-text.ts";

/**
 * The image's own functions, with the signatures and results of Mirumoji: `transcribe` returns a text, SRT
 * or the joined one, `convert` the output's path in the volume.
 */

/** Subtitles of a day of speech are about 4 MB. */
const MAX_TEXT_CHARS = 32 * 1024 * 1024;

/**
 * Parses the result of such a function.
 *
 * @throws MirumojiError `FUNCTION_RESULT_INVALID`
 */
export async function parseImageResult(
  value: unknown,
  options: {
    /** `module:function`. */
    readonly name: string;
    readonly job: JobRequest;
    readonly facts: FactsAt["call"];
    readonly runSeconds: number | null;
  },
): Promise<RemoteResult> {
  const { name, job, facts, runSeconds } = options;
  if (typeof value !== "string")
    throw invalid(name, `it returned ${kindOf(value)} instead of a plain string`);
  const work = { engine: name, gpuSeconds: runSeconds ?? 0 };
  if (job.type === "convert") {
    if (value.trim() === "") throw invalid(name, "it returned an empty path");
    return { path: value, ...work, ...length(facts.inputSeconds) };
  }
  if (value.length > MAX_TEXT_CHARS) throw invalid(name, `it returned ${value.length} characters`);
  const isSrt = outputFormatFor(job.request) === "srt";
  const segments = isSrt ? transcriptFromSrt(value, { name, language: job.request.language }).segments : [];
  const { mediaSeconds, warnings } = length(facts.inputSeconds ?? segments.at(-1)?.end);
  const isSilent = isSrt ? segments.length === 0 : value.trim() === "";
  return {
    packedText: await packText(value),
    ...work,
    mediaSeconds,
    warnings: isSilent ? [...warnings, "no speech was found"] : warnings,
  };
}

/**
 * The segments of an SRT text.
 *
 * @throws MirumojiError `FUNCTION_RESULT_INVALID`
 */
export function transcriptFromSrt(
  srt: string,
  { name, language }: { readonly name: string; readonly language: string },
): Transcript {
  if (srt.trim() === "") return { v: 1, language, segments: [] };
  const segments = cuesOf(srt, name).map(({ start, end, text }) => ({
    start: start / 1000,
    end: end / 1000,
    text,
  }));
  if (segments.length === 0) throw invalid(name, "its text has no subtitle in it, so it is not SRT");
  return { v: 1, language, segments };
}

function cuesOf(srt: string, name: string) {
  try {
    return parseSync(srt).flatMap((node) => (node.type === "cue" ? [node.data] : []));
  } catch (cause) {
    throw invalid(name, `its text is not SRT: ${toMirumojiError(cause).message.slice(0, 200)}`, cause);
  }
}

function length(seconds: number | undefined): Pick<RemoteResult, "mediaSeconds" | "warnings"> {
  if (seconds !== undefined) return { mediaSeconds: seconds, warnings: [] };
  return { mediaSeconds: 0, warnings: ["how long the media plays is not known"] };
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (value instanceof Uint8Array) return "bytes";
  return Array.isArray(value) ? "a list" : `a value of type ${typeof value}`;
}

function invalid(name: string, why: string, cause?: unknown): MirumojiError {
  return new MirumojiError(
    "FUNCTION_RESULT_INVALID",
    `the image's function ${name} does not keep to the contract: ${why}; see docs/architecture.md for what it ` +
      "has to return",
    { cause },
  );
}
