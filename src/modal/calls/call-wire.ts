import { toMirumojiError } from "../../job/errors.ts";
import type { CallInput } from "../../ports/calls.ts";
import { statusOf, type StatusName } from "../rpc/grpc-errors.ts";
import type { RequestOf } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";
import { DATA_FORMAT } from "../rpc/wire.ts";
import { putBlob } from "./blobs.ts";
import type { CallOutput } from "./call-result.ts";
import { encodeInput } from "./cbor.ts";

/*
 * Parts of the wire that calls with one input and with several have in common.
 */

/** Larger arguments of an asynchronous call go as a blob (`max_async_object_size_bytes`, `modal-wire` 1.7). */
const INLINE_LIMIT_BYTES = 8 * 1024;
/** First entry ID for `FunctionGetOutputs`; servers refuse an empty one. */
export const FIRST_ENTRY_ID = "0-0";

export const CALL_GONE = { NOT_FOUND: "CALL_LOST" } as const;
/** The second one: its app was stopped since the call was opened. */
export const NOT_STARTED = { ...CALL_GONE, FAILED_PRECONDITION: "CALL_LOST" } as const;
/** Servers refuse a function of a stopped app with either status. */
export const FUNCTION_GONE = { NOT_FOUND: "APP_LOST", FAILED_PRECONDITION: "APP_LOST" } as const;

/**
 * Answers by which a server refuses a map without input. The last two may also mean that the server is
 * unavailable, but by then the SDK has tried four times, and an unavailable server refuses the fallback as well.
 */
const NEEDS_INPUT: ReadonlySet<StatusName | undefined> = new Set([
  "INVALID_ARGUMENT",
  "FAILED_PRECONDITION",
  "UNIMPLEMENTED",
  "OUT_OF_RANGE",
  "INTERNAL",
  "UNKNOWN",
] as const);

/** Whether the server wants a call to be opened with its inputs. */
export function isInputNeeded(thrown: unknown): boolean {
  return toMirumojiError(thrown).kind !== "quota" && NEEDS_INPUT.has(statusOf(thrown));
}

type PutItem = NonNullable<RequestOf<"functionMap">["pipelinedInputs"]>[number];

export async function putItem(
  session: ModalSession,
  input: CallInput,
  signal: AbortSignal,
): Promise<PutItem> {
  const args = encodeInput(input);
  const data =
    args.length > INLINE_LIMIT_BYTES
      ? { argsBlobId: (await putBlob(session, args, signal)).blobId }
      : { args };
  return { idx: 0, input: { ...data, dataFormat: DATA_FORMAT.cbor } };
}

/** How long an input ran, by the server's clock. */
export function runSeconds({ inputStartedAt, outputCreatedAt }: CallOutput): number | null {
  const seconds = outputCreatedAt - inputStartedAt;
  return inputStartedAt > 0 && seconds >= 0 ? Math.round(seconds * 1000) / 1000 : null;
}
