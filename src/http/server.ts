import basicAuth from "@fastify/basic-auth";
import { createHash, timingSafeEqual } from "node:crypto";
import { fastify, type FastifyInstance } from "fastify";
import { MirumojiError } from "../job/errors.ts";
import type { JobStore } from "../queue/job-store.ts";
import type { Queues } from "../queue/queues.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { addBoard, BOARD_PATH } from "./board.ts";
import { addHealth, type HealthChecks } from "./health.ts";
import { addJobs } from "./jobs.ts";

export interface HttpOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** `name:password` pairs with commas, or undefined for no login. */
  readonly users: string | undefined;
  readonly queues: Queues;
  readonly store: JobStore;
  readonly metrics: Metrics;
  readonly health: HealthChecks;
}

export interface HttpServer {
  readonly apiUrl: string;
  readonly boardUrl: string;
  readonly metricsUrl: string;
  close(): Promise<void>;
}

/**
 * Serves Bull Board, the read-only job API, health and metrics.
 *
 * @throws MirumojiError `CONFIG_INVALID` when it would be open to the network, or the port is taken
 */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const { host, users } = options;
  if (users === undefined && !isLoopback(host)) {
    throw new MirumojiError(
      "CONFIG_INVALID",
      `MIRUMOJI_HTTP_HOST is ${host}, which others can reach, and BOARD_USERS is not set; set it, or listen on 127.0.0.1`,
    );
  }
  const server = fastify({ forceCloseConnections: true });
  addHealth(server, options.health);
  server.get("/metrics", async (_request, reply) => {
    const { registry } = options.metrics;
    return await reply.type(registry.contentType).send(await registry.metrics());
  });
  await server.register(async (guarded: FastifyInstance) => {
    if (users !== undefined) await requireLogin(guarded, users);
    addJobs(guarded, options.store);
    await addBoard(guarded, options.queues);
  });
  let apiUrl: string;
  try {
    apiUrl = await server.listen({ host, port: options.port });
  } catch (cause) {
    await server.close();
    throw new MirumojiError(
      "CONFIG_INVALID",
      `MIRUMOJI_HTTP_PORT: cannot listen on ${host}:${options.port} (${String(cause)}); name another port, or 0`,
      { cause },
    );
  }
  return {
    apiUrl,
    boardUrl: `${apiUrl}${BOARD_PATH}`,
    metricsUrl: `${apiUrl}/metrics`,
    close: async () => {
      await server.close();
    },
  };
}

async function requireLogin(server: FastifyInstance, users: string): Promise<void> {
  const known = users.split(",").map((pair) => digest(pair));
  await server.register(basicAuth, {
    authenticate: { realm: "mirumoji-worker" },
    validate: async (name, password) => {
      const given = digest(`${name}:${password}`);
      // Every pair is compared, so that the time tells nothing.
      const matches = known.filter((pair) => timingSafeEqual(pair, given));
      if (matches.length === 0) throw new Error("wrong name or password");
    },
  });
  server.addHook("onRequest", server.basicAuth);
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}
