import type { FileHandle } from "node:fs/promises";
import type { SubtitleFormat, TranscribeRequest } from "../job/contract.ts";
import { MirumojiError, toMirumojiError } from "../job/errors.ts";
import type { Gained, OutputFile, OutputUpload, RemoteResult } from "../job/facts.ts";
import { planOutputs } from "../job/paths.ts";
import type { Step, StepJob, StepTools } from "./context.ts";
import { renderTranscript } from "../subtitles/render.ts";
import { writeKept } from "../subtitles/kept.ts";
import type { Transcript } from "../subtitles/transcript.ts";
import { outputFormatFor } from "./call-input.ts";
import { type Edited, editText } from "./edit-text.ts";
import { parseSegments } from "./handler-contract.ts";
import { transcriptFromSrt } from "./image-function.ts";
import { unpackText } from "./packed-text.ts";
import { transferReporter } from "./transfer-progress.ts";

/** Fetches the result and writes the outputs: the MP4 as it is, subtitles rendered from the segments. */
export const download: Step<"download"> = async (step, tools) => {
  if (step.request.type === "convert") return { outputs: await saveVideo(step, tools) };
  return await saveSubtitles(step, step.request.request, tools);
};

async function saveVideo(step: StepJob<"download">, tools: StepTools): Promise<OutputFile[]> {
  const sha256 = "sha256" in step.facts.result ? step.facts.result.sha256 : undefined;
  const outputs = planOutputs(step.request).map((output) => ({
    output,
    fill: async (into: FileHandle) => {
      await fetchResult(step, tools, async (file) => await tools.volumes.getFile({ ...file, into, sha256 }));
    },
    sha256,
  }));
  return await tools.media.writeOutputs({ ...rulesOf(step), outputs });
}

async function saveSubtitles(
  step: StepJob<"download">,
  request: TranscribeRequest,
  tools: StepTools,
): Promise<Gained<"download">> {
  const { render, edit } = await subtitles(step, request, tools);
  const outputs = planOutputs(step.request).flatMap((output) => {
    const { format } = output;
    if (format === "mp4") return [];
    const text = render(format);
    return [{ output, fill: async (into: FileHandle) => await fillWith(into, text) }];
  });
  const written = await tools.media.writeOutputs({ ...rulesOf(step), outputs });
  return { outputs: written, ...(edit === undefined ? {} : { edit }) };
}

function rulesOf({ id, request: { request }, facts, save, signal }: StepJob<"download">) {
  const { input, overwrite = false } = request;
  const begun = facts.outputUploads ?? [];
  const known = [...begun];
  const uploads = {
    begun,
    note: async (upload: OutputUpload) => {
      known.push(upload);
      await save({ outputUploads: known });
    },
  };
  return { jobId: id, input, overwrite, uploads, signal };
}

async function fillWith(file: FileHandle, text: string): Promise<void> {
  await file.truncate(0);
  await file.writeFile(text);
}

/** The text of each format, and the work of a language model on it. */
interface Subtitles extends Pick<Edited, "edit"> {
  readonly render: (format: SubtitleFormat) => string;
}

async function subtitles(
  step: StepJob<"download">,
  options: TranscribeRequest,
  tools: StepTools,
): Promise<Subtitles> {
  const { result } = step.facts;
  const { engine } = result;
  const settle = async (heard: Transcript): Promise<Subtitles> => {
    const { transcript, edit } = await editText(step, tools, { transcript: heard, wish: options });
    await keep(step, tools, { engine, layout: options, transcript, edit });
    return { render: (format) => renderTranscript(format, transcript, { engine, options }), edit };
  };
  if (!("packedText" in result)) return await settle(await fetchTranscript(step, tools));
  const text = await unpackText(result.packedText);
  if (outputFormatFor(options) === "joined") return { render: () => text };
  const settled = await settle(transcriptFromSrt(text, { name: engine, language: options.language }));
  if (settled.edit !== undefined) return settled;
  // Its own SRT stays as the function wrote it.
  return { render: (format) => (format === "srt" ? text : settled.render(format)) };
}

/** Keeps the segments for other formats and layouts. The job's own files do not depend on it. */
async function keep(
  { id, warn }: StepJob<"download">,
  { transcripts }: StepTools,
  kept: Parameters<typeof writeKept>[0],
): Promise<void> {
  await transcripts
    .put(id, writeKept(kept))
    .catch((error: unknown) => warn(`the segments are not kept: ${toMirumojiError(error).message}`));
}

/** A file that a container wrote is seen by others a moment later; one that is not seen by then was never written. */
const VISIBLE_WITHIN_MS = 10_000;

interface RemoteFile {
  readonly volumeId: string;
  readonly remotePath: string;
  readonly signal: AbortSignal;
  readonly onProgress: ReturnType<typeof transferReporter>;
}

/** Fetches the result file. A function that names a file which it never wrote is not called again for it. */
async function fetchResult<T>(
  { facts, signal, report, enteredAt }: StepJob<"download">,
  { now }: StepTools,
  fetch: (file: RemoteFile) => Promise<T>,
): Promise<T> {
  const { volumeId, result } = facts;
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

async function fetchTranscript(step: StepJob<"download">, tools: StepTools): Promise<Transcript> {
  const maxBytes = LONGEST_TRANSCRIPT_BYTES;
  const bytes = await fetchResult(
    step,
    tools,
    async (file) => await tools.volumes.readFile({ ...file, maxBytes }),
  );
  await checkDigest(bytes, step.facts.result);
  return parseSegments(bytes.toString("utf8"));
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
