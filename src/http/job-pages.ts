import type { FastifyInstance, FastifyReply } from "fastify";
import { MirumojiError } from "../job/errors.ts";
import type { JobDetails, JobInspector } from "../queue/job-details.ts";
import type { Jobs } from "../client/contract.ts";
import { redactValue } from "../telemetry/redact.ts";
import { missingJobPage, showJob } from "./job-page.ts";

/** Forbids loading and running anything; forms may be sent to this server only. */
const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

export interface JobPagesOptions {
  readonly jobs: Jobs;
  readonly inspect: JobInspector;
  readonly isWritable: boolean;
  readonly redact: (text: string) => string;
}

/** Serves a page per job: its state, its history, its outputs and the available actions. */
export function addJobPages(server: FastifyInstance, options: JobPagesOptions): void {
  const { jobs, inspect, isWritable, redact } = options;
  // Forms without fields still name their type.
  server.addContentTypeParser(
    "application/x-www-form-urlencoded",
    { parseAs: "string", bodyLimit: 1024 },
    (_request, _body, done) => done(null, null),
  );
  server.get<{ Params: { id: string } }>("/jobs/:id", async (request, reply) => {
    const { id } = request.params;
    const details = await inspect(id);
    if (details === null) return await page(reply.code(404), missingJobPage(redact(id)));
    return await page(reply, showJob(redactDetails(details, redact), { isWritable }));
  });
  const act = (action: "cancel" | "retry") => {
    server.post<{ Params: { id: string } }>(`/jobs/:id/${action}`, async (request, reply) => {
      const { id } = request.params;
      if (!isWritable) {
        return await reply
          .code(403)
          .send({ error: { message: "this is read-only; BOARD_WRITE=1 changes that" } });
      }
      try {
        await jobs[action](id);
      } catch (error) {
        if (!(error instanceof MirumojiError)) throw error;
        const { code, message } = error;
        return await reply
          .code(code === "JOB_NOT_FOUND" ? 404 : 409)
          .send({ error: { code, message: redact(message) } });
      }
      return await reply.redirect(jobPagePath(id), 303);
    });
  };
  act("cancel");
  act("retry");
}

/** Removes secrets from everything but the ID, which the page's forms and links lead to. */
function redactDetails(details: JobDetails, redact: (text: string) => string): JobDetails {
  const shown = redactValue(details, redact) as JobDetails;
  return { ...shown, view: { ...shown.view, id: details.view.id } };
}

/** Path of a job's page. */
export function jobPagePath(id: string): string {
  return `/jobs/${encodeURIComponent(id)}`;
}

async function page(reply: FastifyReply, text: string): Promise<FastifyReply> {
  return await reply
    .type("text/html; charset=utf-8")
    .header("content-security-policy", POLICY)
    .header("cache-control", "no-store")
    .send(text);
}
