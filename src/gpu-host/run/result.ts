import { DataFormat, ResultStatus } from "../enums.ts";
import type { Blobs } from "../store/blobs.ts";
import type { CallResult } from "../store/records.ts";
import type { ChildEnd, ChildReport } from "./child.ts";
import { taggedToCbor } from "./values.ts";

/** Modal's containers send bigger results of asynchronous calls as blobs; so do we. */
const MAX_INLINE_BYTES = 8 * 1024;

/** Signals by which a program ends itself; every other one came from outside. */
const OWN_CRASHES = new Set<string>([
  "SIGSEGV",
  "SIGBUS",
  "SIGABRT",
  "SIGFPE",
  "SIGILL",
  "SIGSYS",
  "SIGTRAP",
]);

/** Linux numbers of the signals that matter here, for the shell's 128 + n exit code. */
const SIGNAL_NUMBERS: Record<string, number> = {
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGTERM: 15,
  SIGSYS: 31,
};

type Ended = Extract<ChildReport, { kind: "success" | "failure" | "init_failure" }>;

/** The result of a call whose child reported how it went. */
export async function reportedResult(report: Ended, dataFormat: number, blobs: Blobs): Promise<CallResult> {
  if (report.kind !== "success") {
    const status = report.kind === "failure" ? ResultStatus.FAILURE : ResultStatus.INIT_FAILURE;
    return { status, exception: report.exception, traceback: report.traceback, dataFormat };
  }
  const data = report.data === undefined ? taggedToCbor(report.value) : Buffer.from(report.data, "base64");
  const success = { status: ResultStatus.SUCCESS, dataFormat };
  if (data.length > MAX_INLINE_BYTES) return { ...success, dataBlobId: await blobs.put(data) };
  return { ...success, data: Buffer.from(data).toString("base64") };
}

/** The result of a call whose child ended without a word. */
export function silentResult(end: ChildEnd, dataFormat: number): CallResult {
  if (end.error !== undefined) {
    return {
      status: ResultStatus.INIT_FAILURE,
      exception: `Python cannot be started: ${end.error.message}`,
      dataFormat,
    };
  }
  const exitCode = end.signal === null ? (end.code ?? 0) : 128 + (SIGNAL_NUMBERS[end.signal] ?? 0);
  const by = end.signal === null ? "" : ` (${end.signal})`;
  const fromOutside = end.signal !== null && !OWN_CRASHES.has(end.signal);
  return {
    status: fromOutside ? ResultStatus.INTERNAL_FAILURE : ResultStatus.FAILURE,
    exception: `Runner failed with exit code: ${exitCode}${by}`,
    exitCode,
    dataFormat,
  };
}

/** The result of a call that this host itself could not bring to an end. */
export const hostFailure = (error: unknown): CallResult => ({
  status: ResultStatus.INTERNAL_FAILURE,
  exception: `The GPU host failed: ${error instanceof Error ? error.message : String(error)}`,
  dataFormat: DataFormat.CBOR,
});

export const terminated = (): CallResult => ({
  status: ResultStatus.TERMINATED,
  dataFormat: DataFormat.CBOR,
});

export const timedOut = (timeoutSecs: number): CallResult => ({
  status: ResultStatus.TIMEOUT,
  exception: `Task's current input hit its timeout of ${timeoutSecs}s`,
  dataFormat: DataFormat.CBOR,
});
