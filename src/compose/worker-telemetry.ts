import { pricedGpu } from "../config/gpu-prices.ts";
import type { Environment } from "../config/schema.ts";
import { tracingSettings } from "../config/tracing.ts";
import { VERSION } from "../config/version.ts";
import type { Logger } from "../telemetry/logger.ts";
import { createMetrics, type Metrics } from "../telemetry/metrics.ts";
import { seldomWarn } from "../telemetry/seldom.ts";
import type { Tracing } from "../telemetry/trace-contract.ts";
import { openTracing } from "../telemetry/tracing.ts";

/** The log, the metrics and the traces of one worker. */
export interface WorkerTelemetry {
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  /** For trouble that may come in floods. */
  readonly warn: (error: unknown, what: string) => void;
}

export async function openTelemetry(environment: Environment, logger: Logger): Promise<WorkerTelemetry> {
  const metrics = createMetrics({ version: VERSION, gpu: pricedGpu(environment), now: Date.now });
  const tracing = await openTracing(tracingSettings(environment), {
    role: "worker",
    version: VERSION,
    onProblem: (message) => logger.warn(message),
  });
  return { logger, metrics, tracing, warn: seldomWarn(logger, () => performance.now()) };
}
