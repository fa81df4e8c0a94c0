import { type Logger, pino, stdSerializers } from "pino";
import { cutText } from "../job/cut-text.ts";
import { pretty } from "./pretty.ts";
import { createRedactor } from "./redact.ts";
import { traceFields } from "./traces/active.ts";

export type { Logger } from "pino";

/** Names of fields that never reach a log, at the top and one level down. */
const SECRET_FIELDS = ["tokenSecret", "tokenId", "token", "password", "secret", "authorization", "redisUrl"];

/** Of an error's message and of its stack, both with all causes, whose words may come from outside. */
const ERROR_CHARS = 8000;

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
  const serializers = { err: serializeError };
  const base = { level: options.level, redact, base: null, hooks, mixin: traceFields, serializers };
  return options.readable ? pino(base, pretty()) : pino(base, pino.destination({ dest: 2, sync: true }));
}

function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { message, stack, ...rest } = stdSerializers.err(error);
  return { ...rest, message: cutText(message, ERROR_CHARS), stack: cutText(stack, ERROR_CHARS) };
}
