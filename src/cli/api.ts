import type { Command } from "commander";
import { openApi } from "../compose/api.ts";
import { processEnvironment } from "../config/load.ts";
import { httpSettings } from "../http/server.ts";
import { stopOnSignal } from "./shutdown.ts";
import { guarded, printJson } from "./output.ts";
import { serveHttp } from "./serve-http.ts";
import { serviceLogger } from "./service-logger.ts";

const STOP_LIMIT_MS = 10_000;

export function addApi(program: Command): void {
  program
    .command("api")
    .description(
      "serve the page for people, the HTTP API, Bull Board, health and metrics, without running jobs",
    )
    .option("--json", "print one JSON line when ready")
    .action(
      guarded(
        ({ json }: { json?: boolean }) => json === true,
        async ({ json }: { json?: boolean }) => {
          const environment = processEnvironment();
          const settings = httpSettings(environment);
          const logger = serviceLogger(environment, settings.secrets);
          const api = await openApi(environment, logger);
          const http = await serveHttp(settings, api, logger).catch(async (error: unknown) => {
            await api.stop();
            throw error;
          });
          const stopped = stopOnSignal({
            limitMs: STOP_LIMIT_MS,
            onStopping: (why) => logger.info({ why }, "stopping"),
            stop: async () => {
              await http.close();
              await api.stop();
            },
          });
          const { apiUrl, pageUrl, boardUrl, metricsUrl } = http;
          if (json === true) printJson({ apiUrl, pageUrl, boardUrl, metricsUrl });
          logger.info({ apiUrl, pageUrl, boardUrl, metricsUrl }, "API is ready");
          await stopped;
          logger.info("stopped");
        },
      ),
    );
}
