import type { FastifyInstance } from "fastify";
import { MirumojiError } from "../job/errors.ts";
import type { Jobs } from "../client/contract.ts";

const DEFAULT_LIMIT = 50;
const LARGEST_LIMIT = 500;

/** Serves jobs as JSON in the shape of `status --json`. Read-only. */
export function addJobs(server: FastifyInstance, jobs: Jobs): void {
  server.get<{ Querystring: { limit?: string } }>("/api/jobs", async (request) => {
    const wanted = Number.parseInt(request.query.limit ?? "", 10);
    return await jobs.list({
      limit: Number.isNaN(wanted) ? DEFAULT_LIMIT : Math.min(Math.max(wanted, 1), LARGEST_LIMIT),
    });
  });
  server.get<{ Params: { id: string } }>("/api/jobs/:id", async (request, reply) => {
    try {
      return await jobs.get(request.params.id);
    } catch (error) {
      if (!(error instanceof MirumojiError) || error.code !== "JOB_NOT_FOUND") throw error;
      return await reply.code(404).send({ error: { code: error.code, message: error.message } });
    }
  });
}
