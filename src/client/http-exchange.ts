import { setTimeout as sleep } from "node:timers/promises";
import { type ErrorCode, isErrorCode, MirumojiError } from "../job/errors.ts";

export interface HttpTarget {
  /** Address of the API, as `dev` and `api` print it. */
  readonly apiUrl: string;
  readonly apiKey: string;
  /** How long requests are tried again, in milliseconds; 30,000 by default. */
  readonly retryMs?: number | undefined;
}

export interface HttpAsk {
  readonly method?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_RETRY_MS = 30_000;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5000;
/** The API or its Redis is away, or wants fewer requests. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  "API_UNAVAILABLE",
  "RATE_LIMITED",
  "REDIS_UNAVAILABLE",
  "REDIS_READONLY",
  "REDIS_OUT_OF_MEMORY",
]);

/**
 * Asks the API. What can be repeated is tried again when the API is away or asks for patience.
 *
 * @throws MirumojiError with the code that the API gave, or `API_UNAVAILABLE`
 */
export async function askApi(target: HttpTarget, path: string, ask: HttpAsk = {}): Promise<Response> {
  const { method = "GET", headers = {} } = ask;
  const repeats = method === "GET" || "idempotency-key" in headers;
  const until = performance.now() + (target.retryMs ?? DEFAULT_RETRY_MS);
  for (let attempt = 1; ; attempt += 1) {
    const error = await tryOnce(target, path, ask);
    if (error instanceof Response) return error;
    const ownMs = Math.min(FIRST_PAUSE_MS * 2 ** attempt, LONGEST_PAUSE_MS) * (0.5 + Math.random());
    const pauseMs = error.retryAfterMs ?? ownMs;
    if (!PASSING.has(error.code) || !repeats || performance.now() + pauseMs > until) throw error;
    await pause(pauseMs, ask.signal);
  }
}

async function tryOnce(
  { apiUrl, apiKey }: HttpTarget,
  path: string,
  { method = "GET", body, headers = {}, signal }: HttpAsk,
): Promise<Response | MirumojiError> {
  let response: Response;
  try {
    response = await fetch(`${apiUrl.replace(/\/$/u, "")}/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${apiKey}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (cause) {
    signal?.throwIfAborted();
    return new MirumojiError("API_UNAVAILABLE", `the API does not answer at ${apiUrl}`, { cause });
  }
  return response.ok ? response : await problemIn(response, apiUrl);
}

/** The error of an answer; one that is not ours comes from a proxy, or from something else at this address. */
async function problemIn(response: Response, apiUrl: string): Promise<MirumojiError> {
  const text = await response.text().catch(() => "");
  const { code, detail } = parse(text);
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  const options = Number.isFinite(seconds) ? { retryAfterMs: seconds * 1000 } : {};
  if (isErrorCode(code)) return new MirumojiError(code, String(detail), options);
  const what = `${apiUrl} answered with HTTP ${response.status}: ${text.slice(0, 200)}`;
  return new MirumojiError("API_UNAVAILABLE", what, options);
}

function parse(text: string): { code?: unknown; detail?: unknown } {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, signal === undefined ? {} : { signal });
}
