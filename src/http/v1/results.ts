import type { FileHandle } from "node:fs/promises";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { parseSync } from "subtitle";
import { z } from "zod";
import { SUBTITLE_FORMATS } from "../../job/contract.ts";
import { MirumojiError } from "../../job/errors.ts";
import { DEFAULT_LAYOUT } from "../../job/transcribe-options.ts";
import { isFinal, type JobView } from "../../job/summary.ts";
import type { MediaRoot } from "../../media/media-root.ts";
import { parseSegments } from "../../steps/handler-contract.ts";
import { joinLines } from "../../subtitles/layout.ts";
import { renderTranscript } from "../../subtitles/render.ts";
import type { Transcript } from "../../subtitles/transcript.ts";
import { CONTENT_TYPES, findOutput, sendOutput } from "../send-output.ts";
import { idParams, visibleJob } from "./jobs.ts";
import { PROBLEMS } from "./problem.ts";
import type { ApiServices } from "./services.ts";

const file = z.string().describe("The file, or the part that `Range` asks for.");
const media = (types: readonly string[]) => ({
  content: Object.fromEntries(types.map((type) => [type, { schema: file }])),
});
const TYPES = [...new Set(Object.values(CONTENT_TYPES).map((type) => type.split(";")[0] ?? type))];

/** Outputs of jobs: files as they are, and transcripts in any format. */
export function resultRoutes({ store, mediaRoot }: ApiServices): FastifyPluginAsyncZod {
  return async (server) => {
    server.get(
      "/jobs/:id/outputs/:index",
      {
        config: { scope: "read" },
        schema: {
          operationId: "readOutput",
          tags: ["results"],
          summary: "Read a file that a job made",
          params: idParams.extend({
            index: z.coerce.number<number>().int().min(0).max(1000).describe("Its place in `outputs`."),
          }),
          headers: z.object({ range: z.string().max(200).optional().describe("Such as `bytes=0-1023`.") }),
          response: {
            200: { description: "The whole file.", ...media(TYPES) },
            206: { description: "The part that was asked for.", ...media(TYPES) },
            ...PROBLEMS,
          },
        },
      },
      async (request, reply) => {
        const job = await visibleJob(store, request, request.params.id);
        return await sendOutput(
          request,
          reply,
          await findOutput(mediaRoot, job.outputs[request.params.index]),
        );
      },
    );

    server.get(
      "/jobs/:id/transcript",
      {
        config: { scope: "read" },
        schema: {
          operationId: "readTranscript",
          tags: ["results"],
          summary: "Read a transcript in any format",
          description: "What the job did not write itself is made of what it wrote.",
          params: idParams,
          querystring: z.object({ format: z.enum(SUBTITLE_FORMATS).default("srt") }),
          response: {
            200: { description: "The transcript.", ...media(TYPES.filter((type) => type !== "video/mp4")) },
            ...PROBLEMS,
          },
        },
      },
      async (request, reply) => {
        const { format } = request.query;
        const job = await visibleJob(store, request, request.params.id);
        if (!isFinal(job.status)) {
          throw new MirumojiError(
            "JOB_NOT_FINISHED",
            `job ${job.id} is ${job.status}; its transcript comes with its end`,
          );
        }
        const own = job.outputs.find((output) => output.format === format);
        if (own !== undefined) return await sendOutput(request, reply, await findOutput(mediaRoot, own));
        const { transcript, layout } = await readTranscript(mediaRoot, job);
        const options = { engine: job.report?.engine ?? "", options: { ...DEFAULT_LAYOUT, layout } };
        return await reply.type(CONTENT_TYPES[format]).send(renderTranscript(format, transcript, options));
      },
    );
  };
}

/**
 * The segments of a job that is over, from the most exact file that it wrote.
 *
 * @throws MirumojiError `OUTPUT_NOT_FOUND`
 */
export async function readTranscript(
  mediaRoot: MediaRoot | null,
  job: JobView,
): Promise<{ readonly transcript: Transcript; readonly layout: "readable" | "raw" }> {
  const output = ["json", "srt", "vtt"]
    .map((wanted) => job.outputs.find(({ format }) => format === wanted))
    .find((found) => found !== undefined);
  const found = await findOutput(mediaRoot, output);
  const text = await readAndClose(found.file);
  if (output?.format === "json") return { transcript: parseSegments(text), layout: "readable" };
  const segments = parseSync(text).flatMap((node) =>
    node.type === "cue"
      ? [{ start: node.data.start / 1000, end: node.data.end / 1000, text: joinLines(node.data.text) }]
      : [],
  );
  // They are laid out already.
  return { transcript: { v: 1, language: "", segments }, layout: "raw" };
}

async function readAndClose(handle: FileHandle): Promise<string> {
  try {
    return await handle.readFile("utf8");
  } finally {
    await handle.close();
  }
}
