import rateLimit from "@fastify/rate-limit";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { MirumojiError } from "../../job/errors.ts";
import type { JobView } from "../../job/summary.ts";
import type { ApiKey, Scope } from "../../queue/api-keys.ts";
import type { ApiServices } from "./services.ts";

declare module "fastify" {
  interface FastifyRequest {
    apiKey: ApiKey | null;
  }
  interface FastifyContextConfig {
    /** Scope that a key needs for the route; routes without one are open. */
    scope?: Scope;
    /** Name of the action in the audit log. */
    audit?: string;
  }
}

/** Lets in who has a key with the scope of the route, as often as the key may, and writes down what is changed. */
export async function addAccess(
  server: FastifyInstance,
  { keys, audit, limits, onError }: ApiServices,
): Promise<void> {
  server.decorateRequest("apiKey", null);
  server.addHook("onRequest", async (request) => {
    const { scope } = request.routeOptions.config;
    if (scope === undefined) return;
    const [, secret] = /^Bearer (\S+)$/iu.exec(request.headers.authorization ?? "") ?? [];
    const key = secret === undefined ? null : await keys.verify(secret);
    if (key === null) {
      throw new MirumojiError(
        "UNAUTHENTICATED",
        secret === undefined
          ? "send `Authorization: Bearer <API key>`"
          : "this API key is unknown or revoked",
      );
    }
    request.apiKey = key;
    if (!key.scopes.includes(scope)) {
      throw new MirumojiError("SCOPE_MISSING", `the API key ${key.name} has no scope ${scope}`);
    }
  });
  await server.register(rateLimit, {
    hook: "preParsing",
    redis: limits.redis,
    nameSpace: limits.namespace,
    timeWindow: "1 minute",
    // Redis being away is told by what the route does, not by the counter.
    skipOnError: true,
    allowList: ({ apiKey }) => apiKey === null || apiKey.requestsPerMinute === null,
    keyGenerator: ({ apiKey }) => apiKey?.id ?? "",
    max: ({ apiKey }) => apiKey?.requestsPerMinute ?? Number.MAX_SAFE_INTEGER,
    errorResponseBuilder: ({ apiKey }, { max, after }) =>
      new MirumojiError(
        "RATE_LIMITED",
        `the API key ${apiKey?.name ?? ""} may make ${max} requests a minute; try again in ${after}`,
      ),
  });
  server.addHook("onResponse", async (request, reply) => {
    const { audit: action } = request.routeOptions.config;
    const { apiKey } = request;
    if (action === undefined || apiKey === null) return;
    const { id } = (request.params ?? {}) as { id?: string };
    const target = id ?? request.createdJob;
    const entry = {
      actor: `key ${apiKey.id}`,
      name: apiKey.name,
      ...(apiKey.tenant === null ? {} : { tenant: apiKey.tenant }),
      address: request.ip,
      action,
      ...(target === null ? {} : { target }),
      result: request.problemCode ?? (reply.statusCode < 400 ? "done" : String(reply.statusCode)),
    };
    await audit.write(entry).catch((error: unknown) => onError(error, "the audit log"));
  });
  server.decorateRequest("createdJob", null);
}

declare module "fastify" {
  interface FastifyRequest {
    /** The job that the request made. */
    createdJob: string | null;
  }
}

/** The only tenant that the caller may see; undefined for all. */
export function tenantOf({ apiKey }: FastifyRequest): string | undefined {
  return apiKey?.tenant ?? undefined;
}

/** The caller, as a submit takes it. */
export function submitterOf({ apiKey }: FastifyRequest): { apiKey?: string } {
  return apiKey === null ? {} : { apiKey: apiKey.id };
}

/** Whether the caller may see the job. */
export function isVisible(request: FastifyRequest, job: JobView): boolean {
  const tenant = tenantOf(request);
  return tenant === undefined || job.tenant === tenant;
}
