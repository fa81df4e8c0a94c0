import { type Logger, pino } from "pino";
import { pretty } from "./pretty.ts";
import { createRedactor } from "./redact.ts";
import { traceFields } from "./traces/active.ts";

export type { Logger } from "pino";

/** Names of fields that never reach a log, at the top and one level down. */
const SECRET_FIELDS = ["tokenSecret", "tokenId", "token", "password", "secret", "authorization", "redisUrl"];

/**
 * The process's logger, on stderr: stdout belongs to `--json`. Lines are JSON, or readable text on a
 * terminal. `secrets` are taken out of every line, whatever field or message they got into. Lines about a traced job carry `trace_id`.
 */
export function createLogger(options: {
  level: string;
  readable: boolean;
  secrets?: readonly string[];
}): Logger {
  const redact = { paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]), censor: "[hidden]" };
  const hooks = { streamWrite: createRedactor(options.secrets) };
  const base = { level: options.level, redact, base: null, hooks, mixin: traceFields };
  return options.readable ? pino(base, pretty()) : pino(base, pino.destination({ dest: 2, sync: true }));
}
