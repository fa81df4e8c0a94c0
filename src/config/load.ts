import { z } from "zod";
import { MirumojiError } from "../job/errors.ts";
import { type Environment, environmentSchema, SECRET_NAMES } from "./schema.ts";
import { tracingSettings, type TracingSettings, tracingVariables } from "./tracing.ts";

type Variables = Readonly<Record<string, string | undefined>>;

/**
 * Reads the environment once and reports every problem together. An empty variable counts as not set,
 * because that is how compose files leave things out.
 *
 * @throws MirumojiError `CONFIG_INVALID` with, for each variable, what it got and what it wants
 */
export function loadEnvironment(variables: Variables): Environment {
  return read(environmentSchema, variables);
}

/**
 * Tracing settings, for programs that have no other setting of this product in their environment.
 *
 * @throws MirumojiError `CONFIG_INVALID`
 */
export function processTracing(): TracingSettings | null {
  return tracingSettings(read(z.object(tracingVariables), process.env));
}

function read<S extends z.ZodType>(schema: S, variables: Variables): z.output<S> {
  const present = Object.fromEntries(
    Object.entries(variables).filter(([, value]) => value !== undefined && value !== ""),
  );
  const parsed = schema.safeParse(present);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => {
    const name = String(issue.path[0]);
    const got = SECRET_NAMES.has(name) ? "a value that is not shown" : JSON.stringify(present[name]);
    return `${name} got ${got}: ${issue.message}`;
  });
  throw new MirumojiError("CONFIG_INVALID", problems.join("\n"));
}

/** The environment of this process. */
export function processEnvironment(): Environment {
  return loadEnvironment(process.env);
}

/** Variables that were set, as opposed to defaults. */
export function isSet(name: keyof Environment): boolean {
  const value = process.env[name];
  return value !== undefined && value !== "";
}
