import { MirumojiError } from "../job/errors.ts";
import { type Environment, environmentSchema, SECRET_NAMES } from "./schema.ts";

/**
 * Reads the environment once and reports every problem together. An empty variable counts as not set,
 * because that is how compose files leave things out.
 *
 * @throws MirumojiError `CONFIG_INVALID` with, for each variable, what it got and what it wants
 */
export function loadEnvironment(variables: Readonly<Record<string, string | undefined>>): Environment {
  const present = Object.fromEntries(
    Object.entries(variables).filter(([, value]) => value !== undefined && value !== ""),
  );
  const parsed = environmentSchema.safeParse(present);
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

/** The variables that somebody set, as opposed to defaults. */
export function isSet(name: keyof Environment): boolean {
  const value = process.env[name];
  return value !== undefined && value !== "";
}
