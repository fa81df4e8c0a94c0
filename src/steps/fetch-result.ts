import { MirumojiError } from "../job/errors.ts";
import type { FilmPart, RemoteResult } from "../job/facts.ts";
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

type FetchTools = Pick<StepTools, "volumes" | "now">;

/** The one who fetches, and when that was begun. */
type Fetcher = Pick<StepJob<"download">, "signal" | "report" | "enteredAt"> & { readonly volumeId: string };

/** Fetches the result file. A function that names a file which it never wrote is not called again for it. */
export async function fetchResult<T>(
  { volumeId, signal, report, enteredAt }: Fetcher,
  { now }: Pick<StepTools, "now">,
  { result, fetch }: { readonly result: RemoteResult; readonly fetch: (file: RemoteFile) => Promise<T> },
): Promise<T> {
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
  fetcher: Fetcher,
  tools: FetchTools,
  result: RemoteResult,
): Promise<Transcript> {
  const maxBytes = LONGEST_TRANSCRIPT_BYTES;
  const bytes = await fetchResult(fetcher, tools, {
    result,
    fetch: async (file) => await tools.volumes.readFile({ ...file, maxBytes }),
  });
  await checkDigest(bytes, result);
  return parseSegments(bytes.toString("utf8"));
}

/** The parts of a film that are there as one transcript. */
export async function fetchParts(
  fetcher: Fetcher,
  tools: FetchTools,
  parts: readonly FilmPart[],
): Promise<Transcript> {
  const heard: (HeardPart & { language: string })[] = [];
  for (const { start, end, result } of parts) {
    if (result === undefined) continue;
    const { segments, language } = await fetchTranscript(fetcher, tools, result);
    heard.push({ start, end, segments, language });
  }
  // One that is without speech may not know in which language it is.
  const spoken = heard.find(({ segments }) => segments.length > 0) ?? heard[0];
  return { v: 1, language: spoken?.language ?? "", segments: joinParts(heard) };
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
