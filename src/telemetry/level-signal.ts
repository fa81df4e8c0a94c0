import type { Logger } from "./logger.ts";

const SIGNAL = "SIGUSR2";

/** Switches between the configured log level and `debug` on each SIGUSR2. */
export function toggleDebugOnSignal(logger: Logger): void {
  const usual = logger.level;
  process.on(SIGNAL, () => {
    const next = logger.level === usual ? "debug" : usual;
    const words = `log level is now ${next}, on ${SIGNAL}`;
    // Level at which the switch is announced.
    if (next === "debug") logger.level = next;
    logger.info(words);
    logger.level = next;
  });
}
