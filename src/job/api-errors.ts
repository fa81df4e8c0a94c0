import type { ErrorRow } from "./error-kinds.ts";

/** Errors of requests to the API or the SDK; no job fails with these. */
export const API_ERRORS = {
  UNAUTHENTICATED: {
    kind: "input",
    meaning: "The request has no API key, or one that is unknown or revoked.",
    advice: "Send `Authorization: Bearer <key>`; `mirumoji-worker keys create` makes keys.",
  },
  SCOPE_MISSING: {
    kind: "input",
    meaning: "The API key may not do this.",
    advice: "Use a key with the scope that the message names.",
  },
  RATE_LIMITED: {
    kind: "quota",
    meaning: "The API key made more requests in a minute than it may.",
    advice: "Wait as long as `Retry-After` says, or give the key a higher limit.",
  },
  TENANT_LIMIT: {
    kind: "quota",
    meaning: "The tenant has as many jobs as it may have, waiting or in a day.",
    advice: "Wait until some of its jobs are done, or raise the limit with `tenants set`.",
  },
  BATCH_NOT_FOUND: {
    kind: "input",
    meaning: "There is no batch with this ID, or it is no longer kept.",
    advice: "Batches are kept for 30 days from their submit.",
  },
  ROUTE_NOT_FOUND: {
    kind: "input",
    meaning: "The API has nothing at this path.",
    advice: "See `/openapi.json` for the paths that there are.",
  },
  METHOD_NOT_ALLOWED: {
    kind: "input",
    meaning: "The path exists, but not with this method.",
    advice: "Use one of the methods in the `Allow` header.",
  },
  BODY_TOO_LARGE: {
    kind: "input",
    meaning: "The body of the request is larger than the API takes.",
    advice: "Send less at once; the message names the limit.",
  },
  MEDIA_TYPE_UNSUPPORTED: {
    kind: "input",
    meaning: "The body of the request has a content type that the route does not take.",
    advice: "Send what `/openapi.json` says for the route.",
  },
  OUTPUT_NOT_FOUND: {
    kind: "input",
    meaning: "The job has no such output, or its file is not there any more.",
    advice: "See the job's `outputs`.",
  },
  RANGE_UNSATISFIABLE: {
    kind: "input",
    meaning: "The range that was asked for lies behind the end of the file.",
    advice: "See the size in `Content-Range`.",
  },
  JOB_NOT_FINISHED: {
    kind: "input",
    meaning: "This can only be done to a job that is over.",
    advice: "Wait for its end, or cancel it first.",
  },
  WAIT_TIMED_OUT: {
    kind: "input",
    meaning: "The job was not over within the time that the caller wanted to wait; it goes on.",
    advice: "Wait again, or for longer.",
  },
  API_UNAVAILABLE: {
    kind: "transient",
    meaning: "The API cannot be reached, or answers with something that is not its own.",
    advice: "Check `apiUrl`, and that `mirumoji-worker api` runs there.",
  },
  WEBHOOK_NOT_FOUND: {
    kind: "input",
    meaning: "No webhook that was given up has this ID.",
    advice: "`mirumoji-worker webhooks list` shows those that were.",
  },
  KEY_NOT_FOUND: {
    kind: "input",
    meaning: "There is no API key with this ID.",
    advice: "`mirumoji-worker keys list` shows the ones there are.",
  },
} as const satisfies Record<string, ErrorRow>;
