import { Worker } from "bullmq";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type HttpServer, type HttpSettings, startHttp } from "../../../src/http/server.ts";
import type { ApiServices } from "../../../src/http/v1/services.ts";
import { openFront } from "../../../src/compose/front.ts";
import { type ApiKey, SCOPES } from "../../../src/queue/api-keys.ts";
import { NO_TRACING } from "../../../src/telemetry/tracing.ts";
import type { HealthChecks } from "../../../src/http/health.ts";
import type { JobType } from "../../../src/job/contract.ts";
import type { JobSummary } from "../../../src/job/summary.ts";
import { openOutbound } from "../../../src/net/outbound.ts";
import { openMediaRoot } from "../../../src/media/media-root.ts";
import { connectRedis, type RedisConnection } from "../../../src/queue/connection.ts";
import { createJobInspector } from "../../../src/queue/job-details.ts";
import type { Jobs } from "../../../src/client/contract.ts";
import { createRedisJobs } from "../../../src/queue/redis-jobs.ts";
import { jobKeys } from "../../../src/queue/keys.ts";
import { closeQueues, openQueues, type Queues } from "../../../src/queue/queues.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";
import { testFolder } from "../../../support/folder.ts";
import { randomPrefix, testRedis } from "../../../support/redis.ts";

export const SECRET = "correct-horse-battery";

/** The HTTP port over a real Redis, with jobs that no worker ever ran. */
export interface TestServer extends AsyncDisposable {
  readonly http: HttpServer;
  readonly jobs: Jobs;
  readonly queues: Queues;
  readonly redis: RedisConnection;
  readonly prefix: string;
  readonly redisUrl: string;
  /** How many connections Redis has. */
  redisConnections(): Promise<number>;
  readonly mediaRoot: string;
  readonly api: ApiServices;
  /** A key of the API; by default one that may do everything. */
  key(key?: Partial<Pick<ApiKey, "scopes" | "tenant" | "requestsPerMinute" | "webhook">>): Promise<string>;
  /** Asks the API, with a key and a body as JSON. */
  ask(method: string, path: string, options?: AskOptions): Promise<Answer>;
  request(path: string, options?: RequestInit): Promise<Response>;
  keys(type: JobType, id: string): ReturnType<typeof jobKeys>;
  /** Lets BullMQ finish the next job: with a summary, or with an error. */
  finish(type: JobType, end: JobSummary | Error): Promise<void>;
  put(path: string, data: string): Promise<void>;
}

export interface AskOptions {
  readonly key?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly json: unknown;
}

export async function startTestServer(
  settings: Partial<HttpSettings> = {},
  health: HealthChecks = {},
  uploads: Partial<ApiServices["uploads"]> = {},
): Promise<TestServer> {
  const folder = await testFolder();
  const server = await testRedis();
  const redis = connectRedis(server.url);
  const prefix = randomPrefix();
  const queues = openQueues(redis, prefix);
  const jobs = createRedisJobs(redis, queues, prefix);
  const outbound = openOutbound({ privateNetworks: ["127.0.0.1"], connectMs: 2000 });
  const api = openFront({
    redis,
    queues,
    prefix,
    mediaRoot: await openMediaRoot(folder.path),
    tracing: NO_TRACING,
    outbound,
    maxUploadBytes: 2 ** 20,
    uploads: { maxBytes: 2 ** 20, expiryMs: 3_600_000, ...uploads },
    onError: () => undefined,
  });
  const http = await startHttp(
    {
      host: "127.0.0.1",
      port: 0,
      users: undefined,
      isWritable: false,
      secrets: [SECRET],
      prefix: "",
      trustedProxies: [],
      ...settings,
    },
    {
      queues,
      api,
      jobs,
      inspect: createJobInspector(redis, queues, prefix),
      mediaRoot: await openMediaRoot(folder.path),
      metrics: createMetrics({ version: "0", gpu: null, now: Date.now }),
      health,
    },
  );
  const request = async (path: string, options: RequestInit = {}) =>
    await fetch(`${http.apiUrl}${path}`, { redirect: "manual", ...options });
  return {
    http,
    prefix,
    redisUrl: server.url,
    redisConnections: async () => Number(/connected_clients:(\d+)/u.exec(await redis.info("clients"))?.[1]),
    api,
    async key(wanted = {}) {
      const all = { name: "test", scopes: [...SCOPES], tenant: null, requestsPerMinute: null };
      return (await api.keys.create({ ...all, ...wanted })).secret;
    },
    async ask(method, path, { key, body, headers = {} } = {}) {
      const answer = await request(path, {
        method,
        headers: {
          ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await answer.text();
      return { status: answer.status, headers: answer.headers, json: text === "" ? null : JSON.parse(text) };
    },
    jobs,
    queues,
    redis,
    mediaRoot: folder.path,
    request,
    keys: (type, id) => jobKeys(prefix, type, id),
    async finish(type, end) {
      const worker = new Worker(type, undefined, { connection: redis, prefix, autorun: false });
      const job = await worker.getNextJob("t");
      if (job === undefined) throw new Error(`no ${type} job waits`);
      await (end instanceof Error ? job.moveToFailed(end, "t", false) : job.moveToCompleted(end, "t", false));
      await worker.close();
    },
    async put(path, data) {
      const target = join(folder.path, path);
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, data);
    },
    async [Symbol.asyncDispose]() {
      await http.close();
      await closeQueues(queues);
      redis.disconnect();
      await server[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** The end of a job with these outputs. */
export function completed(outputs: JobSummary["outputs"]): JobSummary {
  return { v: 1, state: "completed", status: "completed", states: [], outputs, error: null };
}
