import { cutText } from "../../job/cut-text.ts";
import { type ErrorCode, MirumojiError } from "../../job/errors.ts";
import { getBlob } from "./blobs.ts";
import { decodeResult } from "./cbor.ts";
import type { ResponseOf } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";
import { DATA_FORMAT, RESULT } from "../rpc/wire.ts";

/** One finished input of a call. */
export type CallOutput = ResponseOf<"functionGetOutputs">["outputs"][number];
type CallResult = NonNullable<CallOutput["result"]>;

/**
 * Failure statuses of a call. The SDK turns most of them into one `RemoteError` and drops
 * the traceback (`modal-wire` 1.9).
 */
const FAILURES: Readonly<Record<number, { readonly code: ErrorCode; readonly meaning: string }>> = {
  [RESULT.failure]: { code: "FUNCTION_FAILED", meaning: "the function raised" },
  [RESULT.terminated]: { code: "FUNCTION_TERMINATED", meaning: "the call was cancelled on the server" },
  [RESULT.timeout]: { code: "FUNCTION_TIMED_OUT", meaning: "the function ran longer than its timeout" },
  [RESULT.initFailure]: { code: "FUNCTION_START_FAILED", meaning: "the container could not start" },
  [RESULT.internalFailure]: { code: "PLATFORM_FAILED", meaning: "Modal lost the container" },
  [RESULT.idleTimeout]: { code: "FUNCTION_TIMED_OUT", meaning: "the container was idle for too long" },
  [RESULT.memoryManagerEviction]: { code: "PLATFORM_FAILED", meaning: "Modal evicted the container" },
  [RESULT.memoryThrashingEviction]: {
    code: "FUNCTION_OUT_OF_MEMORY",
    meaning: "the container ran out of memory",
  },
  [RESULT.kernelOomKill]: { code: "FUNCTION_OUT_OF_MEMORY", meaning: "the kernel killed it for its memory" },
};

/** Kept of what the function raised; tracebacks name the deepest frame last, so both ends stay. */
const EXCEPTION_CHARS = 2000;
const TRACEBACK_CHARS = 16_000;

/** How runtimes say that memory ran out: Modal's own words, Python's, PyTorch's and the kernel's. */
const OUT_OF_MEMORY =
  /out of memory|out-of-memory|\bOOM\b|oom[- ]?kill|MemoryError|CUDA_ERROR_OUT_OF_MEMORY/i;

/**
 * Return value of the function.
 *
 * @throws MirumojiError with the failure's code (`FUNCTION_*`, `PLATFORM_FAILED`; the traceback is its
 */
export async function valueOf(
  session: ModalSession,
  callId: string,
  output: CallOutput,
  signal: AbortSignal,
): Promise<unknown> {
  const { result } = output;
  if (result === undefined) throw invalid(callId, "an output without a result");
  if (result.status !== RESULT.success) throw failureOf(callId, result);
  const format: number = output.dataFormat;
  if (format !== DATA_FORMAT.cbor) throw invalid(callId, `a result in data format ${format} instead of CBOR`);
  const bytes = result.dataBlobId ? await getBlob(session, result.dataBlobId, signal) : result.data;
  if (bytes === undefined || bytes.length === 0) throw invalid(callId, "a result without data");
  try {
    return decodeResult(bytes);
  } catch (cause) {
    throw invalid(callId, "a result that is not CBOR", cause);
  }
}

/** A result that is not a success, as one of our errors. */
export function failureOf(callId: string, result: CallResult): MirumojiError {
  const { status, traceback, exitcode } = result;
  const exception = cutText(result.exception, EXCEPTION_CHARS);
  const failure = FAILURES[status] ?? {
    code: "CALL_STATUS_UNKNOWN" as const,
    meaning: `it ended with status ${status}, which this version does not know`,
  };
  const byFunction =
    status === RESULT.failure || status === RESULT.initFailure || status === RESULT.internalFailure;
  const outOfMemory = byFunction && OUT_OF_MEMORY.test(exception);
  const words = exception === "" ? (exitcode === 0 ? "" : `: exit code ${exitcode}`) : `: ${exception}`;
  return new MirumojiError(
    outOfMemory ? "FUNCTION_OUT_OF_MEMORY" : failure.code,
    `call ${callId}: ${outOfMemory ? "the container ran out of memory" : failure.meaning}${words}`,
    { cause: traceback === "" ? undefined : remoteError(exception, traceback) },
  );
}

/** The Python exception as an error whose stack is the Python traceback, so that logs show it. */
function remoteError(exception: string, traceback: string): Error {
  const error = new Error(exception);
  error.name = "RemoteException";
  error.stack = cutText(traceback, TRACEBACK_CHARS);
  return error;
}

function invalid(callId: string, what: string, cause?: unknown): MirumojiError {
  return new MirumojiError(
    "FUNCTION_RESULT_INVALID",
    `call ${callId} gave ${what}; does the image's handler belong to this worker?`,
    { cause },
  );
}
