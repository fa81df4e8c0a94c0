import { fastify, type FastifyError, type FastifyInstance } from "fastify";
import type { Environment } from "../config/schema.ts";
import { secretValues } from "../config/secrets.ts";
import { cutText } from "../job/cut-text.ts";
import { MirumojiError } from "../job/errors.ts";
import type { MediaRoot } from "../media/media-root.ts";
import type { JobInspector } from "../queue/job-details.ts";
import type { Jobs } from "../client/contract.ts";
import type { Queues } from "../queue/queues.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { createRedactor } from "../telemetry/redact.ts";
import { addBoard, BOARD_PATH } from "./board.ts";
import { addDocs } from "./docs.ts";
import { isLoopback, requireLocalName, requireLogin, requireSameOrigin } from "./guard.ts";
import { addHealth, type HealthChecks } from "./health.ts";
import { addJobPages } from "./job-pages.ts";
import { addJobs } from "./jobs.ts";
import { addOutputs } from "./outputs.ts";
import { answerNoRequest, hardenReplies, redactReplies } from "./replies.ts";
import { addApi, PAGE_PATH } from "./v1/api.ts";
import { problemOf, RETRY_AFTER_SECONDS } from "./v1/problem.ts";
import type { ApiServices } from "./v1/services.ts";

/** Of an error that an answer tells of. */
const ERROR_CHARS = 1000;

/** Services behind the HTTP port. */
export interface Served {
  readonly queues: Queues;
  readonly jobs: Jobs;
  readonly inspect: JobInspector;
  /** Folder that outputs are read from; null where this process has no media root. */
  readonly mediaRoot: MediaRoot | null;
  readonly metrics: Metrics;
  readonly health: HealthChecks;
  /** Services of the API, in the process that serves it. */
  readonly api?: ApiServices;
}

export interface HttpSettings {
  readonly host: string;
  /** Port to listen on; 0 picks a free one. */
  readonly port: number;
  /** `name:password` pairs with commas, or undefined for no login. */
  readonly users: string | undefined;
  /** Allows jobs to be cancelled, retried and removed. */
  readonly isWritable: boolean;
  /** Secrets that are hidden on every page. */
  readonly secrets: readonly string[];
  /** Prefix that a proxy puts in front of every path, such as `/mirumoji`; empty for nothing. */
  readonly prefix: string;
  /** Addresses of proxies that are believed what they say of the caller. */
  readonly trustedProxies: readonly string[];
}

export interface HttpServer {
  readonly apiUrl: string;
  /** The page for people, where this process serves the API. */
  readonly pageUrl: string | null;
  readonly boardUrl: string;
  readonly metricsUrl: string;
  close(): Promise<void>;
}

export function httpSettings(environment: Environment): HttpSettings {
  return {
    host: environment.MIRUMOJI_HTTP_HOST,
    port: environment.MIRUMOJI_HTTP_PORT,
    users: environment.BOARD_USERS,
    isWritable: environment.BOARD_WRITE === "1",
    secrets: secretValues(environment),
    prefix: environment.MIRUMOJI_HTTP_PREFIX,
    trustedProxies: environment.MIRUMOJI_TRUSTED_PROXIES,
  };
}

/**
 * Serves Bull Board, the job pages with their outputs, the read-only job API, health and metrics.
 *
 * @throws MirumojiError `CONFIG_INVALID` when it would be open to the network, or the port is taken
 */
export async function startHttp(settings: HttpSettings, served: Served): Promise<HttpServer> {
  const { host, users } = settings;
  if (users === undefined && !isLoopback(host)) {
    throw new MirumojiError(
      "CONFIG_INVALID",
      `MIRUMOJI_HTTP_HOST is ${host}, which others can reach, and BOARD_USERS is not set; set it, or listen on 127.0.0.1`,
    );
  }
  const redact = createRedactor(settings.secrets);
  const { prefix } = settings;
  const server = fastify({
    forceCloseConnections: true,
    frameworkErrors: answerNoRequest,
    // Proxies cut the prefix off or leave it; both lead to the same place.
    rewriteUrl: ({ url = "/" }) => withoutPrefix(url, prefix),
    trustProxy: settings.trustedProxies.length === 0 ? false : [...settings.trustedProxies],
    // Longer ones are refused by what the route says of them.
    routerOptions: { maxParamLength: 16_384 },
  });
  hardenReplies(server);
  server.setErrorHandler<FastifyError>(async (error, _request, reply) => {
    const { statusCode = error instanceof MirumojiError ? problemOf(error).status : 500, message } = error;
    if (statusCode === 503) reply.header("retry-after", RETRY_AFTER_SECONDS);
    return await reply.code(statusCode).send({ error: { message: redact(cutText(message, ERROR_CHARS)) } });
  });
  await server.register(async (open: FastifyInstance) => {
    redactReplies(open, redact);
    addHealth(open, served.health);
    await Promise.resolve();
  });
  server.get("/metrics", async (_request, reply) => {
    const { registry } = served.metrics;
    return await reply.type(registry.contentType).send(await registry.metrics());
  });
  const home = served.api === undefined ? BOARD_PATH : `${PAGE_PATH}/`;
  server.get("/", async (_request, reply) => await reply.redirect(`${prefix}${home}`));
  if (served.api !== undefined) await addApi(server, served.api, { prefix, redact });
  await server.register(async (guarded: FastifyInstance) => {
    if (users === undefined) requireLocalName(guarded);
    else await requireLogin(guarded, users, served.metrics.observeLoginFailure);
    requireSameOrigin(guarded);
    const { isWritable } = settings;
    addDocs(guarded);
    addOutputs(guarded, served);
    await guarded.register(async (shown: FastifyInstance) => {
      redactReplies(shown, redact);
      addJobs(shown, served.jobs);
      addJobPages(shown, { ...served, isWritable, redact });
      await addBoard(shown, { ...served, isWritable, redact });
    });
  });
  let origin: string;
  try {
    origin = await server.listen({ host, port: settings.port });
  } catch (cause) {
    await server.close();
    throw new MirumojiError(
      "CONFIG_INVALID",
      `MIRUMOJI_HTTP_PORT: cannot listen on ${host}:${settings.port} (${String(cause)}); name another port, or 0`,
      { cause },
    );
  }
  const apiUrl = `${origin}${prefix}`;
  return {
    apiUrl,
    pageUrl: served.api === undefined ? null : `${apiUrl}${PAGE_PATH}/`,
    boardUrl: `${apiUrl}${BOARD_PATH}`,
    metricsUrl: `${apiUrl}/metrics`,
    close: async () => {
      await server.close();
    },
  };
}

function withoutPrefix(url: string, prefix: string): string {
  if (prefix === "" || !url.startsWith(prefix)) return url;
  const rest = url.slice(prefix.length);
  return rest === "" || rest.startsWith("?") ? `/${rest}` : rest.startsWith("/") ? rest : url;
}
