import pretty_ from "pino-pretty";

/** Log lines for people: time, level, words, then the fields on the same line. */
export function pretty(): ReturnType<typeof pretty_> {
  return pretty_({
    destination: 2,
    sync: true,
    singleLine: true,
    translateTime: "SYS:HH:MM:ss",
    ignore: "pid,hostname",
  });
}
