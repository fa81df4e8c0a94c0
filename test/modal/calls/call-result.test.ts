import { encode } from "cbor-x";
import { describe, expect, test } from "vitest";
import { MirumojiError } from "../../../src/job/errors.ts";
import { type CallOutput, failureOf, valueOf } from "../../../src/modal/calls/call-result.ts";
import type { ModalSession } from "../../../src/modal/rpc/session.ts";

type Result = NonNullable<CallOutput["result"]>;

function result(fields: Partial<Result>): Result {
  return {
    status: 1,
    exception: "",
    exitcode: 0,
    traceback: "",
    serializedTb: new Uint8Array(),
    tbLineCache: new Uint8Array(),
    propagationReason: "",
    ...fields,
  };
}

function output(fields: Partial<Result>, dataFormat: number = 4): CallOutput {
  return {
    result: result(fields),
    idx: 0,
    inputId: "in-1",
    dataFormat,
    taskId: "",
    inputStartedAt: 0,
    outputCreatedAt: 0,
    retryCount: 0,
    fcTraceTag: "",
  };
}

/** Inline results need no server. */
const noSession = {} as ModalSession;
const { signal } = new AbortController();

async function codeOf(item: CallOutput): Promise<string> {
  try {
    await valueOf(noSession, "fc-1", item, signal);
    return "no error";
  } catch (thrown) {
    return thrown instanceof MirumojiError ? thrown.code : String(thrown);
  }
}

describe("how a call ended", () => {
  test.each([
    [2, "FUNCTION_FAILED"],
    [3, "FUNCTION_TERMINATED"],
    [4, "FUNCTION_TIMED_OUT"],
    [5, "FUNCTION_START_FAILED"],
    [6, "PLATFORM_FAILED"],
    [7, "FUNCTION_TIMED_OUT"],
    [8, "PLATFORM_FAILED"],
    [9, "FUNCTION_OUT_OF_MEMORY"],
    [10, "FUNCTION_OUT_OF_MEMORY"],
    [99, "CALL_STATUS_UNKNOWN"],
  ])("status %i is %s", async (status, code) => {
    expect(await codeOf(output({ status, exception: "words" }))).toBe(code);
    expect(failureOf("fc-1", result({ status, exception: "words" })).message).toMatch(/fc-1.*words/);
  });

  test.each([
    "RuntimeError('CUDA out of memory. Tried to allocate 2 GiB')",
    "MemoryError()",
    "torch.OutOfMemoryError('...')".replace("OutOf", "CUDA_ERROR_OUT_OF_MEMORY"),
    "Runner was OOM killed",
    "Container killed: out of memory",
  ])("the exception %s is FUNCTION_OUT_OF_MEMORY", (exception) => {
    expect(failureOf("fc-1", result({ status: 2, exception })).code).toBe("FUNCTION_OUT_OF_MEMORY");
  });

  test("an evicted container is the platform's doing, though its words name memory", () => {
    expect(failureOf("fc-1", result({ status: 8, exception: "out of memory on the host" })).code).toBe(
      "PLATFORM_FAILED",
    );
  });

  test("an unknown status is named by its number", () => {
    const status: number = 77;
    expect(failureOf("fc-1", result({ status })).message).toContain("status 77");
  });

  test("the Python traceback is the cause's stack", () => {
    const error = failureOf(
      "fc-1",
      result({ status: 2, exception: "ValueError('x')", traceback: "File a.py" }),
    );
    expect(error.cause).toMatchObject({ message: "ValueError('x')", stack: "File a.py" });
  });

  test("an exit code is named where there are no words", () => {
    expect(failureOf("fc-1", result({ status: 5, exitcode: 137 })).message).toContain("exit code 137");
  });

  test("a pickled, empty, missing or broken result is FUNCTION_RESULT_INVALID", async () => {
    expect(await codeOf(output({ data: encode(1) }, 1))).toBe("FUNCTION_RESULT_INVALID");
    expect(await codeOf(output({ data: new Uint8Array() }))).toBe("FUNCTION_RESULT_INVALID");
    expect(await codeOf({ ...output({}), result: undefined })).toBe("FUNCTION_RESULT_INVALID");
    expect(await codeOf(output({ data: Buffer.from([0x62, 0x61]) }))).toBe("FUNCTION_RESULT_INVALID");
  });

  test("a CBOR result is its value", async () => {
    expect(await valueOf(noSession, "fc-1", output({ data: encode({ v: 1 }) }), signal)).toEqual({ v: 1 });
  });
});
