import type { Logger } from "./logger.ts";

const SIGNAL = "SIGUSR2";

/** SIGUSR2 switches the running process between its configured level and `debug`, and back. */
export function toggleDebugOnSignal(logger: Logger): void {
  const usual = logger.level;
  process.on(SIGNAL, () => {
    const next = logger.level === usual ? "debug" : usual;
    const words = `log level is now ${next}, on ${SIGNAL}`;
    // Said while the more talkative of the two levels is on.
    if (next === "debug") logger.level = next;
    logger.info(words);
    logger.level = next;
  });
}
