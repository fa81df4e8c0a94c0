import type { FastifyInstance } from "fastify";
import { MirumojiError } from "../job/errors.ts";
import { findOutput } from "../media/finished-output.ts";
import type { MediaRoot } from "../media/media-root.ts";
import type { JobInspector } from "../queue/job-details.ts";
import { sendOutput } from "./send-output.ts";

/** Path at which an output of a job is served. */
export function outputPath(jobId: string, index: number): string {
  return `/jobs/${encodeURIComponent(jobId)}/outputs/${index}`;
}

/** Serves the outputs of jobs; no other file of the media root can be read. */
export function addOutputs(
  server: FastifyInstance,
  { inspect, mediaRoot }: { inspect: JobInspector; mediaRoot: MediaRoot | null },
): void {
  server.get<{ Params: { id: string; index: string } }>(
    "/jobs/:id/outputs/:index",
    async (request, reply) => {
      const details = await inspect(request.params.id);
      try {
        const found = await findOutput(mediaRoot, details?.view.outputs[Number(request.params.index)]);
        return await sendOutput(request, reply, found);
      } catch (error) {
        if (!(error instanceof MirumojiError)) throw error;
        const { code, message } = error;
        return await reply
          .code(code === "RANGE_UNSATISFIABLE" ? 416 : 404)
          .send({ error: { code, message } });
      }
    },
  );
}
