import type { Command } from "commander";
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { openWorker } from "../compose/worker.ts";
import { isSet, processEnvironment } from "../config/load.ts";
import { secretValues } from "../config/secrets.ts";
import { httpSettings } from "../http/server.ts";
import { stopOnSignal } from "./shutdown.ts";
import { SCOPES } from "../queue/api-keys.ts";
import { startEmbeddedRedis } from "./embedded-redis.ts";
import { type DevSession, publishDevSession, withdrawDevSession } from "./dev-session.ts";
import { startGpuHostChild } from "./gpu-host-child.ts";
import { guarded, note, printJson } from "./output.ts";
import { serveHttp } from "./serve-http.ts";
import { serviceLogger } from "./service-logger.ts";

interface DevOptions {
  json?: boolean;
  data: string;
}

export function addDev(program: Command): void {
  program
    .command("dev")
    .description(
      "everything on this machine: Redis, GPU host, worker, API, page and Bull Board; Ctrl-C stops it all",
    )
    .option("--data <folder>", "where Redis and the GPU host keep their data", ".mirumoji")
    .option("--json", "print one JSON line when ready")
    .action(
      guarded(
        ({ json }: DevOptions) => json === true,
        async (options: DevOptions) => {
          const started: (() => Promise<void>)[] = [];
          const stopAll = async () => {
            // Stops in reverse order of starting; one that fails does not keep the others running.
            const problems: unknown[] = [];
            for (const stop of started.toReversed())
              await stop().catch((error: unknown) => problems.push(error));
            if (problems.length > 0) throw new AggregateError(problems, "not everything stopped cleanly");
          };
          try {
            await runDev(options, started, stopAll);
          } catch (error) {
            await stopAll();
            throw error;
          }
        },
      ),
    );
}

async function runDev(
  { json, data }: DevOptions,
  started: (() => Promise<void>)[],
  stopAll: () => Promise<void>,
): Promise<void> {
  let environment = processEnvironment();
  const logger = serviceLogger(environment, secretValues(environment));
  if (!isSet("REDIS_URL")) {
    const redis = await startEmbeddedRedis({ folder: join(data, "redis") });
    started.push(async () => await redis.stop());
    environment = { ...environment, REDIS_URL: redis.url };
  }
  let statsUrl: string | null = null;
  if (!isSet("MODAL_SERVER_URL") && !isSet("MODAL_TOKEN_ID")) {
    const host = await startGpuHostChild({ dataFolder: join(data, "gpu-host"), program: process.argv[1] });
    started.push(async () => await host.stop());
    statsUrl = host.statsUrl;
    environment = {
      ...environment,
      MODAL_SERVER_URL: host.serverUrl,
      MODAL_TOKEN_ID: host.tokenId,
      MODAL_TOKEN_SECRET: host.tokenSecret,
    };
  }
  await mkdir(environment.HOST_MEDIA_PATH, { recursive: true });
  const worker = await openWorker(environment, logger, { withApi: true });
  started.push(async () => await worker.stop());
  const http = await serveHttp(httpSettings(environment), worker, logger);
  started.push(async () => await http.close());

  const keys = worker.api?.keys;
  const made = await keys?.create({
    name: "dev",
    scopes: [...SCOPES],
    tenant: null,
    requestsPerMinute: null,
  });
  started.push(async () => {
    if (made !== undefined) await keys?.revoke(made.key.id);
  });

  const { apiUrl, pageUrl, boardUrl, metricsUrl } = http;
  const session: DevSession = {
    redisUrl: environment.REDIS_URL,
    serverUrl: environment.MODAL_SERVER_URL,
    tokenId: environment.MODAL_TOKEN_ID ?? "",
    tokenSecret: environment.MODAL_TOKEN_SECRET ?? "",
    statsUrl,
    apiUrl,
    apiKey: made?.secret ?? "",
    pageUrl,
    boardUrl,
    metricsUrl,
    mediaRoot: resolve(environment.HOST_MEDIA_PATH),
  };
  publishDevSession(session, environment.MIRUMOJI_QUEUE_PREFIX);
  started.push(async () => {
    withdrawDevSession();
    await Promise.resolve();
  });
  const stopped = stopOnSignal({
    limitMs: environment.MIRUMOJI_DRAIN * 1000,
    onStopping: (why) => logger.info({ why, jobs: worker.activeCount() }, "stopping"),
    stop: stopAll,
  });
  if (json === true) printJson(session);
  else note(welcome(session));
  await stopped;
  // The Modal SDK cannot close its channel, and an open channel keeps the process alive.
  process.exit();
}

function welcome(session: DevSession): string {
  return [
    "mirumoji-worker is ready.",
    `  media root  ${session.mediaRoot}`,
    `  page        ${session.pageUrl}  (asks for the key)`,
    `  key         ${session.apiKey}`,
    `  API         ${session.apiUrl}/v1`,
    `  Bull Board  ${session.boardUrl}`,
    `  metrics     ${session.metricsUrl}`,
    `  GPU host    ${session.serverUrl}${session.statsUrl === null ? "" : `  (${session.statsUrl})`}`,
    `  Redis       ${session.redisUrl}`,
    "In another terminal, in this folder:",
    "  mirumoji-worker submit transcribe <file in the media root> --wait",
    "Ctrl-C stops everything.",
  ].join("\n");
}
