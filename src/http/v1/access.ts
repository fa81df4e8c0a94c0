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
    /** Whether the cookie of the page's session opens the route, in the place of the key. */
    isByCookie?: boolean;
    /** Name of the action in the audit log. */
    audit?: string;
  }
}

/** Lets in who has a key with the scope of the route, as often as the key may, and writes down what is changed. */
export async function addAccess(
  server: FastifyInstance,
  { keys, sessions, audit, limits, onError }: ApiServices,
): Promise<void> {
  server.decorateRequest("apiKey", null);
  server.addHook("onRequest", async (request) => {
    const { scope, isByCookie = false } = request.routeOptions.config;
    if (scope === undefined) return;
    const secret = isByCookie ? sessionCookie(request) : bearer(request);
    const key = secret === undefined ? null : await (isByCookie ? sessions : keys).verify(secret);
    if (key === null) {
      const wish = isByCookie ? "open the page and sign in" : "send `Authorization: Bearer <API key>`";
      const wrong = isByCookie ? "this session is over; sign in again" : "this API key is unknown or revoked";
      throw new MirumojiError("UNAUTHENTICATED", secret === undefined ? wish : wrong);
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

/** Name of the cookie that players and downloads of the page send. */
export const SESSION_COOKIE = "mirumoji-session";

/** The session's token, where the caller sends one. */
export function sessionCookie({ headers }: FastifyRequest): string | undefined {
  return new RegExp(`(?:^|; *)${SESSION_COOKIE}=([\\w-]{43})(?:;|$)`, "u").exec(headers.cookie ?? "")?.[1];
}

function bearer({ headers }: FastifyRequest): string | undefined {
  return /^Bearer (\S+)$/iu.exec(headers.authorization ?? "")?.[1];
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
