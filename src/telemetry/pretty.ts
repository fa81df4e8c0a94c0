import pretty_ from "pino-pretty";

/** Readable log lines: time, level, message, then the fields. */
export function pretty(): ReturnType<typeof pretty_> {
  return pretty_({
    destination: 2,
    sync: true,
    singleLine: true,
    translateTime: "SYS:HH:MM:ss",
    ignore: "pid,hostname",
  });
}
