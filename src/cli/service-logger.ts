import type { Environment } from "../config/schema.ts";
import { toggleDebugOnSignal } from "../telemetry/level-signal.ts";
import { createLogger, type Logger } from "../telemetry/logger.ts";

/** Logger of a long-running process; SIGUSR2 raises its level. */
export function serviceLogger(environment: Environment, secrets: readonly string[]): Logger {
  const logger = createLogger({
    level: environment.MIRUMOJI_LOGGING_LEVEL,
    readable: process.stderr.isTTY,
    secrets,
  });
  toggleDebugOnSignal(logger);
  return logger;
}
