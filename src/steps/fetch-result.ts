import { MirumojiError } from "../job/errors.ts";
import type { RemoteResult } from "../job/facts.ts";
import { type HeardPart, joinParts } from "../subtitles/join.ts";
import type { Transcript } from "../subtitles/transcript.ts";
import type { StepJob, StepTools } from "./context.ts";
import { parseSegments } from "./handler-contract.ts";
import { transferReporter } from "./transfer-progress.ts";

/** A file that a container wrote is seen by others a moment later; one that is not seen by then was never written. */
const VISIBLE_WITHIN_MS = 10_000;

interface RemoteFile {
  readonly volumeId: string;
  readonly remotePath: string;
  readonly signal: AbortSignal;
  readonly onProgress: ReturnType<typeof transferReporter>;
}

/** Fetches the result file. A function that names a file which it never wrote is not called again for it. */
export async function fetchResult<T>(
  { facts, signal, report, enteredAt }: StepJob<"download">,
  { now }: StepTools,
  fetch: (file: RemoteFile) => Promise<T>,
  result: RemoteResult = facts.result,
): Promise<T> {
  const { volumeId } = facts;
  if (!("path" in result)) {
    throw new MirumojiError("CHECKPOINT_CORRUPT", "the result is a text where a file was expected");
  }
  try {
    const onProgress = transferReporter(report, now);
    return await fetch({ volumeId, remotePath: result.path, signal, onProgress });
  } catch (cause) {
    const isMissing = cause instanceof MirumojiError && cause.code === "RESULT_MISSING";
    if (!isMissing || now() - enteredAt < VISIBLE_WITHIN_MS) throw cause;
    throw new MirumojiError(
      "FUNCTION_RESULT_INVALID",
      `the function says that its result is ${JSON.stringify(result.path)}, but the volume has no such file`,
      { cause },
    );
  }
}

/** The segments of a day of speech have some ten megabytes. */
const LONGEST_TRANSCRIPT_BYTES = 256 * 1024 * 1024;

export async function fetchTranscript(
  step: StepJob<"download">,
  tools: StepTools,
  result: RemoteResult = step.facts.result,
): Promise<Transcript> {
  const maxBytes = LONGEST_TRANSCRIPT_BYTES;
  const bytes = await fetchResult(
    step,
    tools,
    async (file) => await tools.volumes.readFile({ ...file, maxBytes }),
    result,
  );
  await checkDigest(bytes, result);
  return parseSegments(bytes.toString("utf8"));
}

/** The parts of a film that are there as one transcript. */
export async function fetchParts(step: StepJob<"download">, tools: StepTools): Promise<Transcript> {
  const { parts = [], result } = step.facts;
  const heard: (HeardPart & { language: string })[] = [];
  for (const { start, end, result: own } of parts) {
    if (own === undefined) continue;
    const { segments, language } = await fetchTranscript(step, tools, own);
    heard.push({ start, end, segments, language });
  }
  // One that is without speech may not know in which language it is.
  const language = heard.find((part) => part.segments.length > 0)?.language ?? result.language ?? "";
  return { v: 1, language, segments: joinParts(heard) };
}

async function checkDigest(bytes: Uint8Array<ArrayBuffer>, result: RemoteResult): Promise<void> {
  if (!("sha256" in result) || result.sha256 === undefined) return;
  const digest = Buffer.from(await crypto.subtle.digest("SHA-256", bytes)).toString("hex");
  if (digest === result.sha256) return;
  throw new MirumojiError(
    "TRANSFER_CORRUPT",
    "the segments that arrived are not the ones that were made beside the GPU",
  );
}
