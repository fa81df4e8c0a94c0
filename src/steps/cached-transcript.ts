import { createHash } from "node:crypto";
import { z } from "zod";
import type { JobRequest } from "../job/contract.ts";
import { toMirumojiError } from "../job/errors.ts";
import { type RemoteResult, remoteResultSchema } from "../job/facts.ts";
import { readKept } from "../subtitles/kept.ts";
import { handlerOptions, modelOptions } from "./call-input.ts";
import type { StepJob, StepTools } from "./context.ts";
import { packText } from "./packed-text.ts";

/*
 * Transcripts that are taken again: the same sound, options and model make the same text. The segments are those that
 * are kept of the earlier job; beside them lies a note under a name that is made of all that decides on them.
 */

const noteSchema = z.object({
  v: z.literal(1),
  jobId: z.string(),
  /** When it was made, epoch milliseconds. */
  madeAt: z.number(),
  result: z.unknown(),
});

/** Longest age, in seconds, of a transcript that will do for a job; 0 where none does. */
export function cacheAgeOf(
  { type, request }: JobRequest,
  { cacheSeconds }: Pick<StepTools, "cacheSeconds">,
): number {
  return type === "transcribe" ? (request.cache ?? cacheSeconds) : 0;
}

type CachedJob = Pick<StepJob<"call">, "id" | "request" | "warn"> & {
  readonly facts: { readonly audioSha256?: string | undefined };
};

/** The result of an earlier job for the same sound; null where there is none, or none is wanted. */
export async function findCached(step: CachedJob, tools: StepTools): Promise<RemoteResult | null> {
  const name = noteName(step, tools);
  if (name === null) return null;
  try {
    const text = await tools.transcripts.get(name);
    if (text === null) return null;
    const { jobId, madeAt, result } = noteSchema.parse(JSON.parse(text));
    if (tools.now() - madeAt > cacheAgeOf(step.request, tools) * 1000) return null;
    const segments = await tools.transcripts.get(jobId);
    const kept = segments === null ? null : readKept(segments);
    if (kept === null || kept.edit !== undefined || kept.partial === true) return null;
    const packedTranscript = await packText(JSON.stringify(kept.transcript));
    return remoteResultSchema.parse({ ...Object(result), packedTranscript, cachedFrom: jobId });
  } catch (error) {
    step.warn(`no earlier transcript is taken: ${toMirumojiError(error).message}`);
    return null;
  }
}

/** Notes that the segments of this job, as they are kept, are those of its sound. */
export async function noteCached(step: CachedJob, tools: StepTools, result: RemoteResult): Promise<void> {
  const name = noteName(step, tools);
  if (name === null || "cachedFrom" in result) return;
  const {
    engine,
    model,
    language,
    languageProbability,
    mediaSeconds,
    speechSeconds,
    droppedSegments,
    warnings,
  } = result;
  const about = {
    engine,
    model,
    language,
    languageProbability,
    mediaSeconds,
    speechSeconds,
    droppedSegments,
    warnings,
  };
  const note = { v: 1, jobId: step.id, madeAt: tools.now(), result: { ...about, gpuSeconds: 0 } };
  await tools.transcripts.put(name, JSON.stringify(note));
}

/** The note's name, or null where the job is not about a known sound, or wants no earlier transcript. */
function noteName({ request: job, facts: { audioSha256 } }: CachedJob, tools: StepTools): string | null {
  if (job.type !== "transcribe" || audioSha256 === undefined || cacheAgeOf(job, tools) === 0) return null;
  const { request } = job;
  const about = [
    tools.cacheMark,
    request.tenant ?? "",
    audioSha256,
    sorted(handlerOptions(request)),
    sorted(modelOptions(request, tools.models)),
  ];
  return `cache-${createHash("sha256").update(JSON.stringify(about)).digest("hex")}`;
}

function sorted(options: Readonly<Record<string, unknown>>): [string, unknown][] {
  return Object.entries(options).toSorted(([a], [b]) => (a < b ? -1 : 1));
}
