import { readFileSync } from "node:fs";
import { z } from "zod";

/** Variables that may be in a file, as Docker and Kubernetes hand secrets over. */
const IN_FILES = [
  "REDIS_URL",
  "MODAL_TOKEN_ID",
  "MODAL_TOKEN_SECRET",
  "BOARD_USERS",
  "MIRUMOJI_LLM_KEY",
  "OTEL_EXPORTER_OTLP_HEADERS",
  "MIRUMOJI_S3_CONNECTIONS",
] as const;
type InFile = (typeof IN_FILES)[number];

const LARGEST_SECRET_CHARS = 64 * 1024;

/** A part of the schema of the environment: `<name>_FILE` for each of them. */
export const secretFileVariables = Object.fromEntries(
  IN_FILES.map((name) => [
    `${name}_FILE`,
    z
      .string()
      .min(1)
      .optional()
      .describe(`File that holds \`${name}\` in its place; white space at its end does not count.`),
  ]),
) as Record<`${InFile}_FILE`, z.ZodOptional<z.ZodString>>;

/** The variable that names the file of another one. */
export function secretFileName(name: string): string {
  return `${name}_FILE`;
}

/** The secret in a file; null when it holds none. Throws what the file system says. */
export function readSecretFile(path: string): string | null {
  const secret = readFileSync(path, "utf8").trimEnd();
  return secret === "" || secret.length > LARGEST_SECRET_CHARS ? null : secret;
}

/** Puts the contents of files in the place of what names them; with what is wrong with the files, for people. */
export function readSecretFiles(variables: Readonly<Record<string, string>>): {
  variables: Record<string, string>;
  problems: string[];
} {
  const filled = { ...variables };
  const problems: string[] = [];
  for (const name of IN_FILES) {
    const path = variables[secretFileName(name)];
    if (path === undefined) continue;
    const problem = (why: string) =>
      problems.push(`${secretFileName(name)} got ${JSON.stringify(path)}: ${why}`);
    if (variables[name] !== undefined) {
      problem(`${name} is set as well; set one of them`);
      continue;
    }
    try {
      const secret = readSecretFile(path);
      if (secret === null) problem("the file holds no secret");
      else filled[name] = secret;
    } catch (error) {
      problem(`cannot be read: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { variables: filled, problems };
}
