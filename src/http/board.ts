import { createBullBoard } from "@bull-board/api";
import type { BeforeHook } from "@bull-board/api/typings/app";
import { FastifyAdapter } from "@bull-board/fastify";
import type { FastifyInstance } from "fastify";
import { JOB_TYPES } from "../job/contract.ts";
import { MirumojiError } from "../job/errors.ts";
import type { Jobs } from "../client/contract.ts";
import type { Queues } from "../queue/queues.ts";
import { BoardQueue } from "./board-queue.ts";
import { problemOf } from "./v1/problem.ts";

export const BOARD_PATH = "/board";

/**
 * Actions allowed on the board. Its other actions would bypass the state machine: editing a job's data,
 * emptying a queue under running jobs, or pausing it.
 */
const ALLOWED_CHANGES: ReadonlySet<string> = new Set([
  "/api/queues/pause",
  "/api/queues/resume",
  "/api/queues/:queueName/pause",
  "/api/queues/:queueName/resume",
  "/api/queues/:queueName/add",
  "/api/queues/:queueName/promote",
  "/api/queues/:queueName/retry/:queueStatus",
  "/api/queues/:queueName/clean/:queueStatus",
  "/api/queues/:queueName/:jobId/retry",
  "/api/queues/:queueName/:jobId/promote",
  "/api/queues/:queueName/:jobId/clean",
]);
/** Allows only the board's own files; its page would otherwise load a font from the web. */
const POLICY = [
  "default-src 'self'",
  "script-src 'self' 'unsafe-inline'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "worker-src 'self' blob:",
  "frame-ancestors 'none'",
].join("; ");

const FINISHED: ReadonlySet<string> = new Set(["completed", "failed"]);

export interface BoardOptions {
  readonly queues: Queues;
  readonly jobs: Jobs;
  readonly isWritable: boolean;
  readonly redact: (text: string) => string;
}

/** Answers with the status of the error; by itself, Bull Board takes all but Fastify's own for faults of the server. */
class BoardAdapter extends FastifyAdapter {
  override setErrorHandler(handler: Parameters<FastifyAdapter["setErrorHandler"]>[0]): this {
    return super.setErrorHandler((error) => {
      const statusCode = statusOf(error);
      return handler(
        statusCode === undefined ? error : Object.assign(new Error(error.message), { statusCode }),
      );
    });
  }
}

function statusOf(error: Error & { readonly code?: unknown }): number | undefined {
  if (error instanceof MirumojiError) return problemOf(error).status;
  // BullMQ's own: a job has left the state that it was seen in.
  return typeof error.code === "number" && error.code < 0 ? 409 : undefined;
}

/** Serves Bull Board for both queues. */
export async function addBoard(server: FastifyInstance, options: BoardOptions): Promise<void> {
  const adapter = new BoardAdapter();
  adapter.setBasePath(BOARD_PATH);
  createBullBoard({
    queues: JOB_TYPES.map((type) => new BoardQueue(options.queues[type], type, options)),
    serverAdapter: adapter,
    options: {
      uiConfig: {
        boardTitle: "mirumoji-worker",
        hideDocsLink: true,
        miscLinks: [
          { text: "Health", url: "/readyz" },
          { text: "Metrics", url: "/metrics" },
        ],
      },
      handlerHooks: { before: guardChanges(options.isWritable) },
    },
  });
  await server.register(
    async (board: FastifyInstance) => {
      board.addHook("onSend", async (_request, reply) => {
        reply.header("content-security-policy", POLICY);
        await Promise.resolve();
      });
      await board.register(adapter.registerPlugin());
    },
    { prefix: BOARD_PATH },
  );
}

function guardChanges(isWritable: boolean): BeforeHook {
  return async ({ method, route, request }) => {
    if (method === "get") return { allow: true };
    if (!isWritable) return refusal("the board is read-only; BOARD_WRITE=1 changes that");
    if (!ALLOWED_CHANGES.has(route)) return refusal("this would change jobs behind the back of the workers");
    const { queueName, jobId, queueStatus } = request.params as Record<string, string | undefined>;
    if (route.endsWith("/clean/:queueStatus") && !FINISHED.has(queueStatus ?? "")) {
      return refusal("only finished jobs are removed; cancel the others");
    }
    if (route.endsWith("/:jobId/clean")) {
      const job = await request.queues.get(queueName ?? "")?.getJob(jobId ?? "");
      if (job !== undefined && job !== null && !FINISHED.has(await job.getState())) {
        return refusal("only finished jobs are removed; cancel this one first");
      }
    }
    return { allow: true };
  };
}

function refusal(message: string): { allow: false; status: 403; message: string } {
  return { allow: false, status: 403, message };
}
