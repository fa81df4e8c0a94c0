import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { JOB_TYPES } from "../../job/contract.ts";
import { MirumojiError } from "../../job/errors.ts";
import { isFinal, JOB_STATUSES, type JobView } from "../../job/summary.ts";
import { decodeFeedCursor } from "../../queue/feed-cursor.ts";
import type { JobFilter } from "../../client/contract.ts";
import { matches } from "../../queue/job-list.ts";
import { redactValue } from "../../telemetry/redact.ts";
import { tenantOf } from "./access.ts";
import { openEventStream } from "./event-stream.ts";
import { idParams, visibleJob } from "./jobs.ts";
import { PROBLEMS, problemOf } from "./problem.ts";
import type { ApiServices } from "./services.ts";

const eventSchema = z.looseObject({
  id: z.string().describe("The place to go on from: `Last-Event-ID`."),
  event: z.enum(["job", "gap"]),
  data: z.string().describe("JSON: the job as it is now; of `gap` an empty object."),
});

const STREAM = {
  200: {
    description: "Server-sent events; the schema is that of one event.",
    content: { "text/event-stream": { schema: eventSchema } },
  },
  ...PROBLEMS,
} as const;

const resumeHeaders = z.object({
  "last-event-id": z.string().max(100).optional().describe("`id` of the last event that was received."),
});

const filterSchema = z.object({
  type: z.enum(JOB_TYPES).optional(),
  status: z
    .union([z.enum(JOB_STATUSES), z.array(z.enum(JOB_STATUSES)).max(JOB_STATUSES.length)])
    .transform((status) => [status].flat())
    .optional()
    .describe("Only changes into these; may be given several times."),
  tenant: z.string().max(64).optional(),
  tag: z.string().max(64).optional(),
});

function isAway(error: unknown): boolean {
  return error instanceof MirumojiError && problemOf(error).status === 503;
}

/** The changes of jobs as server-sent events: `job` with the job as it is now, `gap` when some may be missing. */
export function eventRoutes(
  { jobs, feed }: ApiServices,
  redact: (text: string) => string,
): FastifyPluginAsyncZod {
  return async (server) => {
    server.get(
      "/jobs/:id/events",
      {
        exposeHeadRoute: false,
        config: { scope: "read" },
        schema: {
          operationId: "followJob",
          tags: ["events"],
          summary: "Follow a job until its end",
          description:
            "Server-sent events: the job as it is, then as it is after each change. The stream ends with the job. A change tells the newest state; what lay between two that follow closely may be left out.",
          params: idParams,
          headers: resumeHeaders,
          response: { ...STREAM, 204: z.null().describe("The job is over, and its end was received.") },
        },
      },
      async (request, reply) => {
        const { id } = request.params;
        const known = await visibleJob(jobs, request, id);
        const last = decodeFeedCursor(request.headers["last-event-id"] ?? "");
        // Browsers connect again when a stream ends, unless they hear that there is nothing more to come.
        if (isFinal(known.status) && last !== null && (await feed.since(last, id))?.length === 0) {
          return await reply.code(204).send(null);
        }
        const stream = openEventStream(request, reply);
        const send = (job: JobView, place: string) => {
          stream.send({ id: place, event: "job", key: id, data: redactValue(job, redact) });
          if (isFinal(job.status)) stream.end();
        };
        const look = async () => {
          const place = feed.cursor();
          send(await jobs.get(id), place);
        };
        // Heard before the job is read, so that no change falls in between; what is heard is sent in its turn.
        const heard: (readonly [JobView, string])[] = [];
        let isShown = false;
        stream.onClose(
          await feed.listen({
            jobId: id,
            onChange: ({ job, cursor }) => {
              if (isShown) send(job, cursor);
              else heard.push([job, cursor]);
            },
            // While Redis is away the stream stays; it looks again when Redis is back.
            onGap: () => void look().catch((error: unknown) => isAway(error) || stream.end()),
          }),
        );
        const place = feed.cursor();
        const job = await jobs.get(id).catch(() => null);
        isShown = true;
        if (heard.length === 0 && job !== null) send(job, place);
        for (const [changed, cursor] of heard) send(changed, cursor);
        if (job === null) stream.end();
        return reply;
      },
    );

    server.get(
      "/events",
      {
        exposeHeadRoute: false,
        config: { scope: "read" },
        // Left out of the document: this answer never ends, and tools that read OpenAPI 3.1 would wait for its end.
        schema: {
          hide: true,
          querystring: filterSchema,
          headers: resumeHeaders,
          response: STREAM,
        },
      },
      async (request, reply) => {
        const tenant = tenantOf(request);
        const filter: JobFilter = { ...request.query, ...(tenant === undefined ? {} : { tenant }) };
        const isOthers =
          tenant !== undefined && request.query.tenant !== undefined && request.query.tenant !== tenant;
        const stream = openEventStream(request, reply);
        const send = (job: JobView, place: string) => {
          if (!isOthers && matches(job, filter))
            stream.send({ id: place, event: "job", key: job.id, data: redactValue(job, redact) });
        };
        const gap = () => stream.send({ id: feed.cursor(), event: "gap", key: "gap", data: {} });
        const heard: (readonly [JobView, string])[] = [];
        let isCaughtUp = false;
        stream.onClose(
          await feed.listen({
            jobId: null,
            onChange: ({ job, cursor }) => {
              if (isCaughtUp) send(job, cursor);
              else heard.push([job, cursor]);
            },
            onGap: gap,
          }),
        );
        const wanted = request.headers["last-event-id"];
        if (wanted !== undefined) {
          const from = decodeFeedCursor(wanted);
          const place = feed.cursor();
          const missed = from === null ? null : await feed.since(from, null).catch(() => null);
          if (missed === null) gap();
          for (const job of missed ?? []) send(job, place);
        }
        isCaughtUp = true;
        for (const [job, cursor] of heard) send(job, cursor);
        return reply;
      },
    );
  };
}
