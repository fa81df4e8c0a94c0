import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { SUBTITLE_FORMATS } from "../../job/contract.ts";
import { MirumojiError } from "../../job/errors.ts";
import { outputFileSchema } from "../../job/facts.ts";
import { layoutWish, reformatRequestSchema } from "../../job/reformat.ts";
import { isFinal } from "../../job/summary.ts";
import { findOutput } from "../../media/finished-output.ts";
import { CONTENT_TYPES, sendOutput } from "../send-output.ts";
import { idParams, visibleJob } from "./jobs.ts";
import { PROBLEMS } from "./problem.ts";
import type { ApiServices } from "./services.ts";

const file = z.string().describe("The file, or the part that `Range` asks for.");
const media = (types: readonly string[]) => ({
  content: Object.fromEntries(types.map((type) => [type, { schema: file }])),
});
const reformattedSchema = z
  .object({ outputs: z.array(outputFileSchema) })
  .meta({ id: "Reformatted", description: "Files that were written." });
/** The same bounds for a number that comes as text; a pipe would keep them out of the OpenAPI document. */
const numberText = ({ minValue, maxValue }: z.ZodNumber) =>
  z.coerce
    .number<number>()
    .min(minValue ?? 0)
    .max(maxValue ?? Infinity);
/** A boolean that comes as text. */
const booleanText = ({ description = "" }: z.ZodType) =>
  z
    .enum(["true", "false"])
    .transform((text) => text === "true")
    .optional()
    .describe(description);
/** The wish in a query, where everything is a text. */
const queryWish = {
  ...layoutWish,
  max_line_width: numberText(layoutWish.max_line_width.unwrap().unwrap()).int().optional(),
  max_lines: numberText(layoutWish.max_lines.unwrap()).int().optional(),
  max_cps: numberText(layoutWish.max_cps.unwrap().unwrap()).optional(),
  word_times: booleanText(layoutWish.word_times),
  partial: booleanText(layoutWish.partial),
};
const TYPES = [...new Set(Object.values(CONTENT_TYPES).map((type) => type.split(";")[0] ?? type))];

/** Outputs of jobs: files as they are, and transcripts in any format. */
export function resultRoutes({ jobs, mediaRoot, transcripts }: ApiServices): FastifyPluginAsyncZod {
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
        const job = await visibleJob(jobs, request, request.params.id);
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
          summary: "Read a transcript in any format and layout",
          description:
            "What the job did not write itself is made from its segments as long as they are kept, then from what it wrote.",
          params: idParams,
          querystring: z.object({ format: z.enum(SUBTITLE_FORMATS).default("srt"), ...queryWish }),
          response: {
            200: { description: "The transcript.", ...media(TYPES.filter((type) => type !== "video/mp4")) },
            ...PROBLEMS,
          },
        },
      },
      async (request, reply) => {
        const { format, ...wish } = request.query;
        const job = await visibleJob(jobs, request, request.params.id);
        if (!isFinal(job.status)) {
          throw new MirumojiError(
            "JOB_NOT_FINISHED",
            `job ${job.id} is ${job.status}; its transcript comes with its end`,
          );
        }
        const isOwnLayout = Object.values(wish).every((value) => value === undefined);
        const own = isOwnLayout ? job.outputs.find((output) => output.format === format) : undefined;
        const found = await (own === undefined ? null : findOutput(mediaRoot, own).catch(() => null));
        if (found !== null) return await sendOutput(request, reply, found);
        return await reply.type(CONTENT_TYPES[format]).send(await transcripts.text(job, format, wish));
      },
    );

    server.post(
      "/jobs/:id/reformat",
      {
        config: { scope: "submit", audit: "job.reformat" },
        schema: {
          operationId: "reformatJob",
          tags: ["results"],
          summary: "Write a transcript in other formats and layouts",
          description:
            "Files beside those of the job, from its segments, without the GPU. They are no outputs of the job.",
          params: idParams,
          body: reformatRequestSchema,
          response: { 201: reformattedSchema, ...PROBLEMS },
        },
      },
      async (request, reply) => {
        const job = await visibleJob(jobs, request, request.params.id);
        return await reply.code(201).send({ outputs: await transcripts.write(job, request.body) });
      },
    );
  };
}
