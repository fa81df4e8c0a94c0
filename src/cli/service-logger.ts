import type { Environment } from "../config/schema.ts";
import { toggleDebugOnSignal } from "../telemetry/level-signal.ts";
import { createLogger, type Logger } from "../telemetry/logger.ts";

/** The log of a process that runs until it is stopped; SIGUSR2 makes it say more. */
export function serviceLogger(environment: Environment, secrets: readonly string[]): Logger {
  const logger = createLogger({
    level: environment.MIRUMOJI_LOGGING_LEVEL,
    readable: process.stderr.isTTY,
    secrets,
  });
  toggleDebugOnSignal(logger);
  return logger;
}
