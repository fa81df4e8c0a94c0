import type { FileHandle } from "node:fs/promises";
import type { SubtitleFormat, TranscribeRequest } from "../job/contract.ts";
import { toMirumojiError } from "../job/errors.ts";
import type { Gained, OutputFile, OutputUpload } from "../job/facts.ts";
import { planOutputs } from "../job/paths.ts";
import type { Step, StepJob, StepTools } from "./context.ts";
import { renderTranscript } from "../subtitles/render.ts";
import { writeKept } from "../subtitles/kept.ts";
import type { Transcript } from "../subtitles/transcript.ts";
import { noteCached } from "./cached-transcript.ts";
import { outputFormatFor } from "./call-input.ts";
import { type Edited, editText } from "./edit-text.ts";
import { parseSegments } from "./handler-contract.ts";
import { fetchParts, fetchResult, fetchTranscript } from "./fetch-result.ts";
import { transcriptFromSrt } from "./image-function.ts";
import { unpackText } from "./packed-text.ts";

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
      await fetchResult(fetcherOf(step), tools, {
        result: step.facts.result,
        fetch: async (file) => await tools.volumes.getFile({ ...file, into, sha256 }),
      });
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

function fetcherOf({ facts: { volumeId }, signal, report, enteredAt }: StepJob<"download">) {
  return { volumeId, signal, report, enteredAt };
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
    if (edit === undefined) await note(step, tools);
    return { render: (format) => renderTranscript(format, transcript, { engine, options }), edit };
  };
  const fetcher = fetcherOf(step);
  if ("inParts" in result) return await settle(await fetchParts(fetcher, tools, step.facts.parts ?? []));
  if ("packedTranscript" in result) {
    return await settle(parseSegments(await unpackText(result.packedTranscript)));
  }
  if (!("packedText" in result)) return await settle(await fetchTranscript(fetcher, tools, result));
  const text = await unpackText(result.packedText);
  if (outputFormatFor(options) === "joined") return { render: () => text };
  const settled = await settle(transcriptFromSrt(text, { name: engine, language: options.language }));
  if (settled.edit !== undefined) return settled;
  // Its own SRT stays as the function wrote it.
  return { render: (format) => (format === "srt" ? text : settled.render(format)) };
}

/** Notes whose sound the kept segments are. */
async function note(step: StepJob<"download">, tools: StepTools): Promise<void> {
  await noteCached(step, tools, step.facts.result).catch((error: unknown) =>
    step.warn(`later jobs of this sound do not find it: ${toMirumojiError(error).message}`),
  );
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
