import { fastify, type FastifyInstance } from "fastify";
import { validatorCompiler } from "fastify-type-provider-zod";
import { MirumojiError } from "../../job/errors.ts";
import { addPageFiles } from "../page/files.ts";
import { mediaRoutes } from "../page/media.ts";
import { redactReplies } from "../replies.ts";
import { addAccess } from "./access.ts";
import { batchRoutes } from "./batches.ts";
import { eventRoutes } from "./events.ts";
import { jobRoutes } from "./jobs.ts";
import { openAiRoutes } from "./openai.ts";
import { addOpenApi } from "./openapi.ts";
import { sendProblem } from "./problem.ts";
import { resultRoutes } from "./results.ts";
import { uploadRoutes } from "./uploads.ts";
import type { ApiServices } from "./services.ts";

const API_PATH = "/v1";
/** Path of the page for people. */
export const PAGE_PATH = "/app";
const OPENAPI_PATH = "/openapi.json";
/** Requests are short; files come in by routes that have limits of their own. */
const BODY_LIMIT_BYTES = 2 ** 20;

export interface ApiOptions {
  /** Prefix that callers put in front of every path. */
  readonly prefix: string;
  /** Takes secrets out of a text. */
  readonly redact: (text: string) => string;
}

/** The HTTP API below `/v1`, and its OpenAPI document. */
export async function addApi(
  server: FastifyInstance,
  services: ApiServices,
  { prefix, redact }: ApiOptions,
): Promise<void> {
  await server.register(async (api: FastifyInstance) => {
    api.setValidatorCompiler(validatorCompiler);
    // Answers are typed already; their schemas are for the document, and some of them transform only one way.
    api.setSerializerCompiler(() => JSON.stringify);
    api.decorateRequest("problemCode", null);
    api.setErrorHandler(async (error, request, reply) => {
      const answer = await sendProblem(request, reply, error);
      if (reply.statusCode >= 500) services.onError(error, `${request.method} ${request.url}`);
      return answer;
    });
    await addOpenApi(api, prefix);
    api.get(OPENAPI_PATH, { schema: { hide: true } }, () => api.swagger());
    await addAccess(api, services);
    await api.register(
      async (page: FastifyInstance) => {
        redactReplies(page, redact);
        await addPageFiles(page, `${prefix}${PAGE_PATH}`);
        await page.register(mediaRoutes(services), { prefix: "/media" });
      },
      { prefix: PAGE_PATH },
    );
    await api.register(
      async (v1: FastifyInstance) => {
        v1.removeContentTypeParser("text/plain");
        v1.addHook("onRoute", (route) => {
          route.bodyLimit ??= BODY_LIMIT_BYTES;
        });
        const refuseOtherMethods = collectMethods(v1);
        redactReplies(v1, redact);
        await v1.register(jobRoutes(services, `${prefix}${API_PATH}`));
        await v1.register(batchRoutes(services, `${prefix}${API_PATH}`));
        await v1.register(resultRoutes(services));
        await v1.register(openAiRoutes(services));
        await v1.register(uploadRoutes(services, `${prefix}${API_PATH}`));
        await v1.register(eventRoutes(services, redact));
        refuseOtherMethods();
        v1.setNotFoundHandler(async (request, reply) => {
          const what = `there is nothing at ${request.method} ${request.url.split("?")[0] ?? ""}`;
          return await sendProblem(request, reply, new MirumojiError("ROUTE_NOT_FOUND", what));
        });
      },
      { prefix: API_PATH },
    );
  });
}

/** Gives a function that makes the paths that exist say which methods they have, instead of not to exist. */
function collectMethods(server: FastifyInstance): () => void {
  const known = new Map<string, Set<string>>();
  server.addHook("onRoute", ({ path, method }) => {
    const methods = known.get(path) ?? new Set();
    for (const name of [method].flat()) methods.add(name);
    known.set(path, methods);
  });
  return () => {
    // Taken before: what is added here is seen by the hook too.
    const paths = [...known];
    for (const [path, methods] of paths) {
      const allowed = [...methods].join(", ");
      server.route({
        method: server.supportedMethods.filter((name) => !methods.has(name)),
        url: path.slice(API_PATH.length),
        schema: { hide: true },
        // Ahead of the body, which may be anything.
        onRequest: async (request, reply) => {
          reply.header("allow", allowed);
          const { method } = request;
          await sendProblem(
            request,
            reply,
            new MirumojiError("METHOD_NOT_ALLOWED", `${method} is none of this path's methods: ${allowed}`),
          );
        },
        handler: () => undefined,
      });
    }
  };
}

/** The OpenAPI document as it is checked in: of routes that serve nobody. */
export async function openApiDocument(services: ApiServices): Promise<object> {
  const server = fastify();
  await addApi(server, services, { prefix: "", redact: (text) => text });
  const answer = await server.inject(OPENAPI_PATH);
  await server.close();
  return answer.json<object>();
}
