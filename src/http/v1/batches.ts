import type { FastifyRequest } from "fastify";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { batchSubmitSchema, type BatchView, batchViewSchema } from "../../job/batch.ts";
import { MirumojiError } from "../../job/errors.ts";
import { submitterOf, tenantOf } from "./access.ts";
import { PROBLEMS } from "./problem.ts";
import type { ApiServices } from "./services.ts";

/** 10,000 requests with long paths and prompts. */
const BODY_LIMIT_BYTES = 32 * 2 ** 20;

const params = z.object({ id: z.string().min(1).max(256).describe("ID of the batch.") });
const changedSchema = z.object({ id: z.string(), jobs: z.int().min(0).describe("How many jobs it meant.") });

/** Batches: many jobs that are accepted together. */
export function batchRoutes({ batches, outbound }: ApiServices, base: string): FastifyPluginAsyncZod {
  const visible = async (request: FastifyRequest, id: string): Promise<BatchView> => {
    const batch = await batches.get(id);
    const tenant = tenantOf(request);
    if (tenant === undefined || batch.tenant === tenant) return batch;
    throw new MirumojiError("BATCH_NOT_FOUND", `there is no batch ${JSON.stringify(id)}`);
  };
  return async (server) => {
    server.post(
      "/batches",
      {
        bodyLimit: BODY_LIMIT_BYTES,
        config: { scope: "submit", audit: "batch.submit" },
        schema: {
          operationId: "submitBatch",
          tags: ["batches"],
          summary: "Put up to 10,000 jobs into their queues, all or none",
          headers: z.object({
            "idempotency-key": z
              .string()
              .min(1)
              .max(255)
              .optional()
              .describe("The same key with the same items gives the same batch."),
          }),
          body: batchSubmitSchema,
          response: {
            200: batchViewSchema.describe("The batch of this idempotency key, which was there already."),
            201: batchViewSchema.describe("The batch, which is accepted."),
            ...PROBLEMS,
          },
        },
      },
      async (request, reply) => {
        const { items, webhook } = request.body;
        for (const url of [webhook?.url, ...items.map(({ request: { webhook: one } }) => urlOf(one))]) {
          if (url !== undefined) outbound.check(url);
        }
        const tenant = tenantOf(request);
        const key = request.headers["idempotency-key"];
        const { id, created } = await batches.submit(request.body, {
          ...submitterOf(request),
          ...(tenant === undefined ? {} : { tenant }),
          ...(key === undefined ? {} : { idempotencyKey: tenant === undefined ? key : `${tenant}\0${key}` }),
        });
        request.createdJob = id;
        return await reply
          .code(created ? 201 : 200)
          .header("location", `${base}/batches/${id}`)
          .send(await batches.get(id));
      },
    );

    server.get(
      "/batches/:id",
      {
        config: { scope: "read" },
        schema: {
          operationId: "getBatch",
          tags: ["batches"],
          summary: "Look at a batch",
          params,
          response: { 200: batchViewSchema, ...PROBLEMS },
        },
      },
      async (request) => await visible(request, request.params.id),
    );

    for (const act of ["cancel", "retry"] as const) {
      server.post(
        `/batches/:id/${act}`,
        {
          config: { scope: "operate", audit: `batch.${act}` },
          schema: {
            operationId: `${act}Batch`,
            tags: ["batches"],
            summary:
              act === "cancel" ? "Cancel the jobs that are not over" : "Retry the jobs that did not complete",
            params,
            response: { 202: changedSchema, ...PROBLEMS },
          },
        },
        async (request, reply) => {
          const { id } = await visible(request, request.params.id);
          return await reply.code(202).send({ id, jobs: await batches[act](id) });
        },
      );
    }
  };
}

function urlOf(webhook: unknown): string | undefined {
  const url: unknown =
    typeof webhook === "object" && webhook !== null ? Reflect.get(webhook, "url") : undefined;
  return typeof url === "string" ? url : undefined;
}
