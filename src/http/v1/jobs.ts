import type { FastifyRequest } from "fastify";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { JOB_TYPES, REQUEST_SCHEMAS } from "../../job/contract.ts";
import { MirumojiError } from "../../job/errors.ts";
import { JOB_STATUSES, type JobView, jobViewSchema } from "../../job/summary.ts";
import { LIST_CURSOR } from "../../queue/job-list.ts";
import type { Jobs } from "../../client/contract.ts";
import { isVisible, submitterOf, tenantOf } from "./access.ts";
import { PROBLEMS } from "./problem.ts";
import type { ApiServices } from "./services.ts";

const jobSchema = jobViewSchema.meta({ id: "Job", description: "A job as it is now." });

const version = z.literal(1).default(1).describe("Version of the request's contract.");
const submitSchema = z
  .discriminatedUnion("type", [
    z.strictObject({
      type: z.literal("transcribe"),
      request: z.strictObject({ ...REQUEST_SCHEMAS.transcribe.shape, v: version }),
    }),
    z.strictObject({
      type: z.literal("convert"),
      request: z.strictObject({ ...REQUEST_SCHEMAS.convert.shape, v: version }),
    }),
  ])
  .meta({ id: "Submit", description: "A job to put into its queue." });

export const idParams = z.object({ id: z.string().min(1).max(256).describe("ID of the job.") });

const timestamp = z.coerce.number<number>().int().min(0).max(8.64e15);
const querySchema = z.object({
  type: z.enum(JOB_TYPES).optional(),
  status: z
    .union([z.enum(JOB_STATUSES), z.array(z.enum(JOB_STATUSES)).max(JOB_STATUSES.length)])
    .transform((status) => [status].flat())
    .optional()
    .describe("Any of these; may be given several times."),
  tenant: z.string().max(64).optional(),
  tag: z.string().max(64).optional(),
  since: timestamp.optional().describe("Submitted at this time or later, epoch milliseconds."),
  before: timestamp.optional().describe("Submitted before this time, epoch milliseconds."),
  search: z
    .string()
    .max(200)
    .optional()
    .describe("Part of the ID, or of the path of the input or an output."),
  limit: z.coerce.number<number>().int().min(1).max(500).default(50),
  cursor: z.string().regex(LIST_CURSOR).optional().describe("`nextCursor` of the page before."),
});

const pageSchema = z
  .object({
    jobs: z.array(jobSchema).describe("Newest first."),
    nextCursor: z
      .string()
      .nullable()
      .describe("For the next page; null after the last. A page may be short although more follow."),
  })
  .meta({ id: "JobPage", description: "A page of jobs." });

const cancelledSchema = z.object({
  id: z.string(),
  accepted: z.boolean().describe("False when the job was over already."),
});

/** Jobs: put in, looked at, changed. `base` is the path of the API as callers see it. */
export function jobRoutes({ jobs, outbound }: ApiServices, base: string): FastifyPluginAsyncZod {
  return async (server) => {
    server.post(
      "/jobs",
      {
        config: { scope: "submit", audit: "job.submit" },
        schema: {
          operationId: "submitJob",
          tags: ["jobs"],
          summary: "Put a job into its queue",
          headers: z.object({
            "idempotency-key": z
              .string()
              .min(1)
              .max(255)
              .optional()
              .describe(
                "The same key with the same request gives the same job, as long as that one is kept.",
              ),
          }),
          body: submitSchema,
          response: {
            200: jobSchema.describe("The job of this idempotency key, which was there already."),
            201: jobSchema.describe("The job, which is in its queue now."),
            ...PROBLEMS,
          },
        },
      },
      async (request, reply) => {
        const { type, request: wanted } = request.body;
        const tenant = tenantOf(request);
        if (tenant !== undefined && wanted.tenant !== undefined && wanted.tenant !== tenant) {
          throw new MirumojiError("SCOPE_MISSING", `this API key makes jobs of the tenant ${tenant} only`);
        }
        if (wanted.webhook !== undefined) outbound.check(wanted.webhook.url);
        const key = request.headers["idempotency-key"];
        const options = { ...wanted, ...(tenant === undefined ? {} : { tenant }) };
        const { id, created } = await jobs.submit(type, options, {
          ...submitterOf(request),
          // Tenants know nothing of each other's keys.
          ...(key === undefined ? {} : { idempotencyKey: tenant === undefined ? key : `${tenant}\0${key}` }),
        });
        request.createdJob = id;
        const job = await jobs.get(id);
        return await reply
          .code(created ? 201 : 200)
          .header("location", `${base}/jobs/${id}`)
          .send(job);
      },
    );

    server.get(
      "/jobs",
      {
        config: { scope: "read" },
        schema: {
          operationId: "listJobs",
          tags: ["jobs"],
          summary: "List jobs, newest first",
          querystring: querySchema,
          response: { 200: pageSchema, ...PROBLEMS },
        },
      },
      async (request) => {
        const tenant = tenantOf(request);
        const { query } = request;
        if (tenant !== undefined && query.tenant !== undefined && query.tenant !== tenant) {
          return { jobs: [], nextCursor: null };
        }
        return await jobs.listPage({ ...query, ...(tenant === undefined ? {} : { tenant }) });
      },
    );

    server.get(
      "/jobs/:id",
      {
        config: { scope: "read" },
        schema: {
          operationId: "getJob",
          tags: ["jobs"],
          summary: "Look at a job",
          params: idParams,
          response: { 200: jobSchema, ...PROBLEMS },
        },
      },
      async (request) => await visibleJob(jobs, request, request.params.id),
    );

    server.delete(
      "/jobs/:id",
      {
        config: { scope: "operate", audit: "job.delete" },
        schema: {
          operationId: "deleteJob",
          tags: ["jobs"],
          summary: "Forget a job that is over",
          description: "Its outputs stay where they are.",
          params: idParams,
          response: { 204: z.null().describe("The job is forgotten."), ...PROBLEMS },
        },
      },
      async (request, reply) => {
        const { id } = await visibleJob(jobs, request, request.params.id);
        await jobs.delete(id);
        return await reply.code(204).send(null);
      },
    );

    server.post(
      "/jobs/:id/cancel",
      {
        config: { scope: "operate", audit: "job.cancel" },
        schema: {
          operationId: "cancelJob",
          tags: ["jobs"],
          summary: "Stop a job and its bill",
          description:
            "It ends as `cancelled` when its call is stopped and its volume deleted, mostly within a second.",
          params: idParams,
          response: { 202: cancelledSchema, ...PROBLEMS },
        },
      },
      async (request, reply) => {
        const { id } = await visibleJob(jobs, request, request.params.id);
        return await reply.code(202).send(await jobs.cancel(id));
      },
    );

    server.post(
      "/jobs/:id/retry",
      {
        config: { scope: "operate", audit: "job.retry" },
        schema: {
          operationId: "retryJob",
          tags: ["jobs"],
          summary: "Give a failed or cancelled job another life",
          params: idParams,
          response: { 202: jobSchema, ...PROBLEMS },
        },
      },
      async (request, reply) => {
        const { id } = await visibleJob(jobs, request, request.params.id);
        await jobs.retry(id);
        return await reply.code(202).send(await jobs.get(id));
      },
    );
  };
}

/**
 * A job that the caller may see.
 *
 * @throws MirumojiError `JOB_NOT_FOUND`, also for jobs of others
 */
export async function visibleJob(jobs: Jobs, request: FastifyRequest, id: string): Promise<JobView> {
  const job = await jobs.get(id);
  if (!isVisible(request, job)) {
    throw new MirumojiError("JOB_NOT_FOUND", `there is no job ${JSON.stringify(id)}`);
  }
  return job;
}
