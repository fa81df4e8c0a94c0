import { z } from "zod";
import { MirumojiError } from "../job/errors.ts";
import { type Environment, environmentSchema, SECRET_NAMES } from "./schema.ts";
import { readSecretFiles, secretFileName } from "./secret-files.ts";
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
  const set = Object.entries(variables).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== "",
  );
  const { variables: present, problems } = readSecretFiles(Object.fromEntries(set));
  const parsed = schema.safeParse(present);
  if (parsed.success && problems.length === 0) return parsed.data;
  for (const issue of parsed.error?.issues ?? []) {
    const name = String(issue.path[0]);
    const got = SECRET_NAMES.has(name) ? "a value that is not shown" : JSON.stringify(present[name]);
    problems.push(`${name} got ${got}: ${issue.message}`);
  }
  throw new MirumojiError("CONFIG_INVALID", problems.join("\n"));
}

/** The environment of this process. */
export function processEnvironment(): Environment {
  return loadEnvironment(process.env);
}

/** Whether somebody set the variable, itself or through a file, as opposed to its default. */
export function isSet(name: keyof Environment): boolean {
  const values = [process.env[name], process.env[secretFileName(name)]];
  return values.some((value) => value !== undefined && value !== "");
}
