import type { z } from "zod";
import { CONTRACT_VERSION, isJobType, JOB_TYPES, type JobRequest, REQUEST_SCHEMAS } from "./contract.ts";
import { MirumojiError } from "./errors.ts";
import { checkMediaPath } from "./paths.ts";
import { isElsewhere, placeOf } from "./places.ts";

/**
 * Turns the data of a queued job into a request with all defaults.
 *
 * @throws MirumojiError `JOB_TYPE_UNKNOWN`, `CONTRACT_VERSION_UNKNOWN`, `REQUEST_INVALID` or
 * `PATH_OUTSIDE_MEDIA_ROOT`; the message names each field that is wrong.
 */
export function parseRequest(type: string, data: unknown): JobRequest {
  if (!isJobType(type)) {
    throw new MirumojiError(
      "JOB_TYPE_UNKNOWN",
      `job type ${quote(type)} is not one of ${JOB_TYPES.join(", ")}`,
    );
  }
  checkVersion(data);
  const parsed = REQUEST_SCHEMAS[type].safeParse(data);
  if (!parsed.success) {
    throw new MirumojiError(
      "REQUEST_INVALID",
      `the ${type} request is wrong: ${describeIssues(parsed.error)}`,
    );
  }
  checkPlace(parsed.data.input, "input");
  if (parsed.data.output !== undefined) checkPlace(parsed.data.output, "output");
  // The compiler cannot see that schema and type were picked by the same key.
  return { type, request: parsed.data } as JobRequest;
}

function checkPlace(path: string, field: string): void {
  if (isElsewhere(path)) placeOf(path, field);
  else checkMediaPath(path, field);
}

/**
 * Gives the reason for which a request may be one for newer workers: a higher version, or nothing wrong with it but
 * fields that are unknown here. Null otherwise.
 */
export function newerRequest(
  type: string,
  data: unknown,
): { readonly words: string; readonly isVersion: boolean } | null {
  if (!isJobType(type) || typeof data !== "object" || data === null || Array.isArray(data)) return null;
  const version: unknown = Reflect.get(data, "v");
  if (Number.isInteger(version) && Number(version) > CONTRACT_VERSION) {
    return {
      words: `the request has version ${Number(version)}; this worker knows v: ${CONTRACT_VERSION}`,
      isVersion: true,
    };
  }
  const issues = REQUEST_SCHEMAS[type].safeParse(data).error?.issues ?? [];
  const unknown = issues.flatMap((issue) => (issue.code === "unrecognized_keys" ? issue.keys : []));
  if (unknown.length === 0 || issues.some(({ code }) => code !== "unrecognized_keys")) return null;
  return { words: `this worker does not know ${quote(unknown.slice(0, 8).join(", "))}`, isVersion: false };
}

function checkVersion(data: unknown): void {
  if (typeof data !== "object" || data === null || Array.isArray(data)) {
    throw new MirumojiError("REQUEST_INVALID", `the request must be an object, not ${describeValue(data)}`);
  }
  const version: unknown = Reflect.get(data, "v");
  if (version === CONTRACT_VERSION) return;
  if (version === undefined)
    throw new MirumojiError("REQUEST_INVALID", "the request has no field v; send v: 1");
  throw new MirumojiError(
    "CONTRACT_VERSION_UNKNOWN",
    `contract version ${quote(version)} is unknown here; this worker knows v: ${CONTRACT_VERSION}`,
  );
}

function describeIssues(error: z.ZodError): string {
  return error.issues
    .slice(0, 8)
    .map((issue) => {
      const field = issue.path.join(".");
      return field === "" ? issue.message : `${field}: ${issue.message}`;
    })
    .join("; ");
}

function describeValue(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : `a ${typeof value}`;
}

function quote(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 80);
}
