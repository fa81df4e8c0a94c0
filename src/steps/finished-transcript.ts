import type { FileHandle } from "node:fs/promises";
import { parseSync } from "subtitle";
import { CONTRACT_VERSION, type SubtitleFormat } from "../job/contract.ts";
import { MirumojiError } from "../job/errors.ts";
import type { OutputFile } from "../job/facts.ts";
import { parseRequest } from "../job/parse-request.ts";
import { planOutputs } from "../job/paths.ts";
import type { LayoutWish, ReformatRequest } from "../job/reformat.ts";
import { isFinal, type JobView } from "../job/summary.ts";
import { DEFAULT_LAYOUT } from "../job/transcribe-options.ts";
import type { MediaFiles } from "../ports/media.ts";
import type { KeptTranscripts } from "../ports/transcripts.ts";
import { type KeptTranscript, readKept } from "../subtitles/kept.ts";
import { joinLines } from "../subtitles/layout.ts";
import { renderTranscript } from "../subtitles/render.ts";
import { parseSegments } from "./handler-contract.ts";

/** Longest wait for a mount that does not answer. */
const FILES_MS = 60_000;

export interface FinishedTranscriptTools {
  readonly kept: KeptTranscripts;
  /** Null where this process has no media root. */
  readonly media: MediaFiles | null;
  /** The text of an output; throws `OUTPUT_NOT_FOUND`. */
  readonly readOutput: (output: OutputFile) => Promise<string>;
  /** The ID of a job that is not over and writes one of these files, if there is one. */
  readonly findClaim: (places: readonly string[]) => Promise<string | null>;
  readonly newId: () => string;
}

/** Transcripts of jobs that are over, in any format and layout; no GPU is needed for it. */
export interface FinishedTranscripts {
  /**
   * The text of a transcript, from the segments that are kept, else from the most exact file that the job wrote.
   *
   * @throws MirumojiError `JOB_NOT_FINISHED`, `OUTPUT_NOT_FOUND`
   */
  text(job: JobView, format: SubtitleFormat, wish?: LayoutWish): Promise<string>;
  /** The segments themselves; throws the same. `partial`: also those of a film that was not finished. */
  segments(job: JobView, options?: { readonly partial?: boolean | undefined }): Promise<KeptTranscript>;
  /**
   * Writes files, all or none.
   *
   * @throws MirumojiError the same, and `OUTPUT_EXISTS`, `OUTPUT_CLAIMED`, `OUTPUT_UNWRITABLE`, `CONFIG_INVALID` without
   * a media root
   */
  write(job: JobView, request: ReformatRequest): Promise<OutputFile[]>;
}

export function finishedTranscripts(tools: FinishedTranscriptTools): FinishedTranscripts {
  const segments: FinishedTranscripts["segments"] = async (job, { partial = false } = {}) => {
    if (!isFinal(job.status)) {
      throw new MirumojiError(
        "JOB_NOT_FINISHED",
        `job ${job.id} is ${job.status}; its transcript comes with its end`,
      );
    }
    const mayBeKept = job.status === "completed" || partial;
    const text = mayBeKept ? await tools.kept.get(job.id) : null;
    const kept = text === null ? null : readKept(text);
    // One of an earlier life of the job, when its last one could keep none.
    return (
      (kept?.partial === true && job.status === "completed" ? null : kept) ?? (await fromFiles(job, tools))
    );
  };
  const renderer = async (job: JobView, { partial, ...wish }: LayoutWish) => {
    const { engine, transcript, layout } = await segments(job, { partial });
    const changes = Object.fromEntries(Object.entries(wish).filter(([, value]) => value !== undefined));
    // A limit of lines means that raw segments are not wanted.
    const isAnew = ["max_line_width", "max_lines", "max_cps"].some((name) => name in changes);
    const options = { ...layout, ...(isAnew ? { layout: "readable" as const } : {}), ...changes };
    return (format: SubtitleFormat) => renderTranscript(format, transcript, { engine, options });
  };
  return {
    segments,
    text: async (job, format, wish = {}) => (await renderer(job, wish))(format),
    async write(job, { formats, output, overwrite, ...wish }) {
      const { media } = tools;
      if (media === null) {
        throw new MirumojiError(
          "CONFIG_INVALID",
          "this process has no media root (HOST_MEDIA_PATH) to write to",
        );
      }
      const render = await renderer(job, wish);
      const place = output ?? job.outputs[0]?.path;
      const input = job.input ?? "";
      const asked = parseRequest("transcribe", { v: CONTRACT_VERSION, input, output: place, formats });
      const outputs = planOutputs(asked);
      const rules = { jobId: `reformat-${tools.newId()}`, input, overwrite };
      const signal = AbortSignal.timeout(FILES_MS);
      const places = await media.checkOutputs({ ...rules, outputs, signal });
      const holder = await tools.findClaim(places);
      if (holder !== null) {
        const what = `job ${holder} is writing an output of this name; wait for its end`;
        throw new MirumojiError("OUTPUT_CLAIMED", what);
      }
      const texts = outputs.flatMap((planned) => {
        if (planned.format === "mp4") return [];
        const text = render(planned.format);
        return [{ output: planned, fill: async (file: FileHandle) => await file.writeFile(text) }];
      });
      try {
        return await media.writeOutputs({ ...rules, outputs: texts, signal });
      } finally {
        await media.removePartialOutputs({ jobId: rules.jobId, outputs, signal });
      }
    },
  };
}

/** Segments from what the job wrote, where they are not kept. */
async function fromFiles(
  job: JobView,
  { readOutput }: Pick<FinishedTranscriptTools, "readOutput">,
): Promise<KeptTranscript> {
  const output = ["json", "srt", "vtt"]
    .map((wanted) => job.outputs.find(({ format }) => format === wanted))
    .find((found) => found !== undefined);
  if (output === undefined) {
    throw new MirumojiError(
      "OUTPUT_NOT_FOUND",
      `the segments of job ${job.id} are not kept, and it wrote nothing that they could be read from` +
        (job.status === "completed"
          ? ""
          : "; what was transcribed of a film in parts can be had with `partial`"),
    );
  }
  const text = await readOutput(output);
  const engine = job.report?.engine ?? "";
  if (output.format === "json") {
    return { v: 1, engine, layout: DEFAULT_LAYOUT, transcript: parseSegments(text) };
  }
  const segments = parseSync(text).flatMap((node) =>
    node.type === "cue"
      ? [{ start: node.data.start / 1000, end: node.data.end / 1000, text: joinLines(node.data.text) }]
      : [],
  );
  const transcript = { v: 1 as const, language: job.report?.language ?? "", segments };
  return { v: 1, engine, layout: { ...DEFAULT_LAYOUT, layout: "raw" }, transcript };
}
