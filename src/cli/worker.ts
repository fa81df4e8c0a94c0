import type { Command } from "commander";
import { openWorker } from "../compose/worker.ts";
import { processEnvironment } from "../config/load.ts";
import { httpSettings } from "../http/server.ts";
import type { RunJob } from "../runner/run-job.ts";
import { stopOnSignal } from "./shutdown.ts";
import { guarded, printJson } from "./output.ts";
import { serveHttp } from "./serve-http.ts";
import { serviceLogger } from "./service-logger.ts";

export function addWorker(program: Command): void {
  program
    .command("worker")
    .description("run jobs until stopped; SIGTERM hands running jobs back, a second one exits at once")
    .option("--json", "print one JSON line when ready")
    .action(
      guarded(
        ({ json }: { json?: boolean }) => json === true,
        async ({ json }: { json?: boolean }) => await serveWorker({ json: json === true }),
      ),
    );
}

/** Runs jobs and serves people until a signal ends it; `run` is for tests that break the running of jobs. */
export async function serveWorker({
  json,
  run,
}: {
  readonly json: boolean;
  readonly run?: RunJob;
}): Promise<void> {
  const environment = processEnvironment();
  const settings = httpSettings(environment);
  const logger = serviceLogger(environment, settings.secrets);
  const worker = await openWorker(environment, logger, run === undefined ? {} : { run });
  const http = await serveHttp(settings, worker, logger).catch(async (error: unknown) => {
    await worker.stop();
    throw error;
  });
  const stopped = stopOnSignal({
    limitMs: environment.MIRUMOJI_DRAIN * 1000,
    onStopping: (why) =>
      logger.info({ why, jobs: worker.activeCount() }, "stopping; jobs go back to the queue"),
    stop: async () => {
      await worker.stop();
      await http.close();
    },
  });
  const { apiUrl, boardUrl, metricsUrl } = http;
  if (json) printJson({ apiUrl, boardUrl, metricsUrl });
  logger.info({ apiUrl, boardUrl, metricsUrl }, "worker is ready");
  await stopped;
  logger.info("stopped");
  // The Modal SDK cannot close its channel, and an open channel keeps the process alive.
  process.exit();
}
