/** Runs a worker pool inside another program, as the command `worker` does. */
import { openWorker } from "./compose/worker.ts";
import { loadEnvironment } from "./config/load.ts";
import { secretValues } from "./config/secrets.ts";
import { createLogger } from "./telemetry/logger.ts";

export { MirumojiError } from "./job/errors.ts";

/** A pool that runs jobs in this process. */
export interface EmbeddedWorker extends AsyncDisposable {
  /** Jobs that run here now. */
  activeCount(): number;
  /** Prometheus text of this worker's metrics. */
  metrics(): Promise<string>;
  /** Hands running jobs back to the queue and closes every connection. GPU calls go on. */
  stop(): Promise<void>;
}

/**
 * Starts a pool from the same variables as the command (`docs/configuration.md`).
 *
 * @throws MirumojiError `CONFIG_INVALID`, `REDIS_UNAVAILABLE`
 */
export async function startWorker(
  variables: Readonly<Record<string, string | undefined>>,
): Promise<EmbeddedWorker> {
  const environment = loadEnvironment(variables);
  const logger = createLogger({
    level: environment.MIRUMOJI_LOGGING_LEVEL,
    readable: false,
    secrets: secretValues(environment),
  });
  const worker = await openWorker(environment, logger);
  const stop = async () => await worker.stop();
  return {
    activeCount: () => worker.activeCount(),
    metrics: async () => await worker.metrics.registry.metrics(),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
