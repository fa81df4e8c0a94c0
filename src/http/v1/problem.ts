import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import { hasZodFastifySchemaValidationErrors } from "fastify-type-provider-zod";
import { z } from "zod";
import { type ErrorCode, ERRORS, MirumojiError } from "../../job/errors.ts";

/** An error as RFC 9457 has it, with our codes. */
export const problemSchema = z
  .object({
    type: z.string().describe("`urn:mirumoji:error:` and the code."),
    title: z.string().describe("What the code means."),
    status: z.int().min(400).max(599),
    detail: z.string().describe("What is wrong here, and what to do."),
    code: z.string().describe("Stable; docs/errors.md lists all of them."),
    errors: z
      .array(z.object({ path: z.string(), message: z.string() }))
      .optional()
      .describe("The fields that are wrong."),
  })
  .meta({ id: "Problem", description: "An error, after RFC 9457." });
export type Problem = z.output<typeof problemSchema>;

/** Answers of every route that went wrong, for its schema. */
export const PROBLEMS = {
  "4xx": {
    description: "The request cannot be done.",
    content: { "application/problem+json": { schema: problemSchema } },
  },
  "5xx": {
    description: "The service is unwell; try again.",
    content: { "application/problem+json": { schema: problemSchema } },
  },
} as const;

const STATUS: Partial<Record<ErrorCode, number>> = {
  // Past the schema, so that the request is well-formed and contradicts itself.
  REQUEST_INVALID: 409,
  URL_NOT_ALLOWED: 409,
  UNAUTHENTICATED: 401,
  SCOPE_MISSING: 403,
  JOB_NOT_FOUND: 404,
  BATCH_NOT_FOUND: 404,
  ROUTE_NOT_FOUND: 404,
  OUTPUT_NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  IDEMPOTENCY_CONFLICT: 409,
  JOB_NOT_RETRYABLE: 409,
  JOB_NOT_FINISHED: 409,
  BODY_TOO_LARGE: 413,
  MEDIA_TYPE_UNSUPPORTED: 415,
  RANGE_UNSATISFIABLE: 416,
  RATE_LIMITED: 429,
  TENANT_LIMIT: 429,
  REDIS_UNAVAILABLE: 503,
  REDIS_READONLY: 503,
  REDIS_OUT_OF_MEMORY: 503,
  REDIS_NO_PERMISSION: 503,
  REDIS_MOVED: 503,
  REDIS_NO_REPLICAS: 503,
  DISK_FULL: 507,
};

/** Of a service that is unwell. */
export const RETRY_AFTER_SECONDS = 5;

/** Fastify's own errors that have a code of ours. */
const FASTIFY: Record<string, ErrorCode> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "MEDIA_TYPE_UNSUPPORTED",
  FST_ERR_CTP_BODY_TOO_LARGE: "BODY_TOO_LARGE",
  FST_REQ_FILE_TOO_LARGE: "BODY_TOO_LARGE",
  FST_INVALID_MULTIPART_CONTENT_TYPE: "MEDIA_TYPE_UNSUPPORTED",
};

/** Any thrown value as the problem that the caller sees. */
export function problemOf(thrown: unknown): Problem {
  if (thrown instanceof MirumojiError) {
    const { kind } = ERRORS[thrown.code];
    return problem(thrown.code, thrown.message, STATUS[thrown.code] ?? (kind === "input" ? 400 : 500));
  }
  if (hasZodFastifySchemaValidationErrors(thrown)) {
    const errors = thrown.validation.map(({ instancePath, message }) => ({
      path: instancePath.replace(/^\//u, "").replaceAll("/", "."),
      message: message ?? "is wrong",
    }));
    const detail = errors
      .map(({ path, message }) => (path === "" ? message : `${path}: ${message}`))
      .join("; ");
    // A rule that no schema can express: the request is well-formed and contradicts itself.
    const isBeyondSchema = thrown.validation.every(({ keyword }) => keyword === "custom");
    return { ...problem("REQUEST_INVALID", detail, isBeyondSchema ? 409 : 400), errors };
  }
  const { code, statusCode, message } = thrown as Partial<FastifyError>;
  if (statusCode === undefined || statusCode >= 500) {
    return problem("UNEXPECTED", "something went wrong here; the log says what", 500);
  }
  return problem(FASTIFY[code ?? ""] ?? "REQUEST_INVALID", message ?? "the request is wrong", statusCode);
}

function problem(code: ErrorCode, detail: string, status: number): Problem {
  return { type: `urn:mirumoji:error:${code}`, title: ERRORS[code].meaning, status, detail, code };
}

declare module "fastify" {
  interface FastifyRequest {
    /** The code of the error that the request ended with. */
    problemCode: ErrorCode | null;
  }
}

/** Answers with a problem. */
export async function sendProblem(
  request: FastifyRequest,
  reply: FastifyReply,
  thrown: unknown,
): Promise<FastifyReply> {
  const body = problemOf(thrown);
  request.problemCode = body.code as ErrorCode;
  if (body.status === 401) reply.header("www-authenticate", "Bearer");
  if (body.status === 503) reply.header("retry-after", RETRY_AFTER_SECONDS);
  return await reply.code(body.status).type("application/problem+json").serializer(JSON.stringify).send(body);
}
