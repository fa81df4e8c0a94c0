import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import type { FastifyInstance, FastifyReply } from "fastify";
import type { OutputFile } from "../job/facts.ts";
import { MirumojiError } from "../job/errors.ts";
import { isMissing } from "../media/errno.ts";
import type { MediaRoot } from "../media/media-root.ts";
import type { JobInspector } from "../queue/job-details.ts";

/** Content types by format, never by file name: no output is served as a page that could run a script. */
const CONTENT_TYPES: Record<OutputFile["format"], string> = {
  srt: "application/x-subrip; charset=utf-8",
  vtt: "text/vtt; charset=utf-8",
  json: "application/json; charset=utf-8",
  txt: "text/plain; charset=utf-8",
  joined: "text/plain; charset=utf-8",
  mp4: "video/mp4",
};

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
      const output = details?.view.outputs[Number(request.params.index)];
      if (output === undefined) return await missing(reply, "there is no such output");
      if (mediaRoot === null) return await missing(reply, "this process has no media root (HOST_MEDIA_PATH)");
      let path: string;
      let bytes: number;
      try {
        path = await mediaRoot.resolveExisting(output.path, "output");
        const found = await stat(path);
        if (!found.isFile()) return await missing(reply, "the output is not a file any more");
        bytes = found.size;
      } catch (error) {
        if (isMissing(error)) return await missing(reply, "the output is not there any more");
        if (error instanceof MirumojiError) return await missing(reply, error.message);
        throw error;
      }
      const range = parseRange(request.headers.range, bytes);
      reply
        .type(CONTENT_TYPES[output.format])
        .header("accept-ranges", "bytes")
        .header(
          "content-disposition",
          `inline; filename*=UTF-8''${encodeURIComponent(basename(output.path))}`,
        );
      if (range === "unsatisfiable") {
        return await reply.code(416).header("content-range", `bytes */${bytes}`).send();
      }
      if (range === null) return await reply.header("content-length", bytes).send(createReadStream(path));
      const { start, end } = range;
      return await reply
        .code(206)
        .header("content-range", `bytes ${start}-${end}/${bytes}`)
        .header("content-length", end - start + 1)
        .send(createReadStream(path, { start, end }));
    },
  );
}

/**
 * Parses the first range of a `Range` header; null for the whole file, and for headers that cannot be parsed.
 */
export function parseRange(
  header: string | undefined,
  bytes: number,
): { start: number; end: number } | "unsatisfiable" | null {
  const [, from = "", to = ""] = /^bytes=(\d*)-(\d*)$/u.exec(header ?? "") ?? [];
  if (from === "" && to === "") return null;
  const start = from === "" ? Math.max(0, bytes - Number(to)) : Number(from);
  const end = from === "" || to === "" ? bytes - 1 : Math.min(Number(to), bytes - 1);
  return start > end ? "unsatisfiable" : { start, end };
}

async function missing(reply: FastifyReply, message: string): Promise<FastifyReply> {
  return await reply.code(404).send({ error: { message } });
}
