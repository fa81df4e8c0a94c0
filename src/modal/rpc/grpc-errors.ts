import { ClientError, Status } from "nice-grpc";
import { cutText } from "../../job/cut-text.ts";
import { type ErrorCode, MirumojiError } from "../../job/errors.ts";
import { abortError } from "./abort.ts";

/** The name of a gRPC status, such as `NOT_FOUND`. */
export type StatusName = keyof typeof Status;

/** Meanings of a status for one RPC that differ from the general table. */
export type StatusCodes = Partial<Record<StatusName, ErrorCode>>;

/** General meaning of each status; a status that is not listed is a refusal (`modal-wire` 1.9). */
const CODES: StatusCodes = {
  UNAVAILABLE: "MODAL_UNAVAILABLE",
  DEADLINE_EXCEEDED: "MODAL_UNAVAILABLE",
  INTERNAL: "MODAL_FAILED",
  UNKNOWN: "MODAL_FAILED",
  CANCELLED: "MODAL_FAILED",
  RESOURCE_EXHAUSTED: "MODAL_THROTTLED",
  UNAUTHENTICATED: "MODAL_UNAUTHENTICATED",
  PERMISSION_DENIED: "MODAL_UNAUTHENTICATED",
};

const ADVICE: Partial<Record<ErrorCode, string>> = {
  MODAL_UNAVAILABLE: "check the network and MODAL_SERVER_URL; it is tried again",
  MODAL_FAILED: "it is tried again",
  MODAL_THROTTLED: "the server asks us to slow down; lower the concurrency when it happens often",
  MODAL_UNAUTHENTICATED: "check MODAL_TOKEN_ID and MODAL_TOKEN_SECRET",
  MODAL_REFUSED: "another try cannot help; check what the server names",
};

/** Words of gRPC itself, for a connection that was cut and for a message that is larger than it takes. */
const CUT_STREAM = "Received RST_STREAM";
const TOO_LARGE = "larger than max";

/** Longest server text kept in a message, in characters, so that the advice after it stays readable. */
const DETAIL_CHARS = 2000;

/** A failed RPC as one of our errors: the RPC's name, the server's words, and what to do. */
export function translateRpcError(
  rpc: string,
  thrown: unknown,
  about: {
    readonly signal?: AbortSignal | undefined;
    readonly retryAfterMs?: number | undefined;
    readonly codes?: StatusCodes | undefined;
  } = {},
): MirumojiError {
  if (about.signal?.aborted) return abortError(about.signal);
  if (thrown instanceof MirumojiError) return thrown;
  const { code, words } = classify(thrown, about);
  const advice = ADVICE[code];
  return new MirumojiError(code, `Modal ${rpc}: ${words}${advice === undefined ? "" : `; ${advice}`}`, {
    cause: thrown,
    ...(about.retryAfterMs === undefined ? {} : { retryAfterMs: about.retryAfterMs }),
  });
}

function classify(
  thrown: unknown,
  about: { readonly retryAfterMs?: number | undefined; readonly codes?: StatusCodes | undefined },
): { code: ErrorCode; words: string } {
  if (!(thrown instanceof ClientError)) {
    const words = thrown instanceof Error ? thrown.message : String(thrown);
    return { code: "MODAL_UNAVAILABLE", words: cutText(words, DETAIL_CHARS) };
  }
  const status = statusName(thrown.code);
  const words = `${status}${thrown.details === "" ? "" : `: ${cutText(thrown.details, DETAIL_CHARS)}`}`;
  if (status === "INTERNAL" && thrown.details.startsWith(CUT_STREAM))
    return { code: "MODAL_UNAVAILABLE", words };
  if (status === "RESOURCE_EXHAUSTED" && thrown.details.includes(TOO_LARGE))
    return { code: "MODAL_REFUSED", words };
  // A retry policy makes it throttling whatever the status is (`modal-wire` 1.6).
  if (about.retryAfterMs !== undefined) return { code: "MODAL_THROTTLED", words };
  return { code: about.codes?.[status] ?? CODES[status] ?? "MODAL_REFUSED", words };
}

/** Whether a stream that ended like this is worth another try at once. */
export function isServerTrouble({ code }: MirumojiError): boolean {
  return code === "MODAL_UNAVAILABLE" || code === "MODAL_FAILED";
}

/** The gRPC status behind a translated error, if one was. */
export function statusOf(error: unknown): StatusName | undefined {
  const cause = error instanceof MirumojiError ? error.cause : undefined;
  return cause instanceof ClientError ? statusName(cause.code) : undefined;
}

function statusName(code: Status): StatusName {
  const name = Status[code] as StatusName | undefined;
  return name ?? "UNKNOWN";
}
