import { ClientError, Status } from "nice-grpc";
import { describe, expect, test } from "vitest";
import { MirumojiError } from "../../../src/job/errors.ts";
import { statusOf, translateRpcError } from "../../../src/modal/rpc/grpc-errors.ts";
import { retryAfterMs } from "../../../src/modal/rpc/retry-policy.ts";

function refusal(status: Status, words = "words of the server"): ClientError {
  return new ClientError("/modal.client.ModalClient/FunctionMap", status, words);
}

describe("an RPC's failure", () => {
  test.each([
    ["UNAVAILABLE", "MODAL_UNAVAILABLE"],
    ["DEADLINE_EXCEEDED", "MODAL_UNAVAILABLE"],
    ["INTERNAL", "MODAL_FAILED"],
    ["UNKNOWN", "MODAL_FAILED"],
    ["CANCELLED", "MODAL_FAILED"],
    ["RESOURCE_EXHAUSTED", "MODAL_THROTTLED"],
    ["UNAUTHENTICATED", "MODAL_UNAUTHENTICATED"],
    ["PERMISSION_DENIED", "MODAL_UNAUTHENTICATED"],
    ["NOT_FOUND", "MODAL_REFUSED"],
    ["ALREADY_EXISTS", "MODAL_REFUSED"],
    ["FAILED_PRECONDITION", "MODAL_REFUSED"],
    ["ABORTED", "MODAL_REFUSED"],
    ["INVALID_ARGUMENT", "MODAL_REFUSED"],
    ["OUT_OF_RANGE", "MODAL_REFUSED"],
    ["UNIMPLEMENTED", "MODAL_REFUSED"],
    ["DATA_LOSS", "MODAL_REFUSED"],
  ] as const)("%s is %s", (status, code) => {
    const error = translateRpcError("FunctionMap", refusal(Status[status]));
    expect(error.code).toBe(code);
    expect(error.message).toContain("FunctionMap");
    expect(error.message).toContain(`${status}: words of the server`);
    expect(error.message).toMatch(/; .+/);
    expect(statusOf(error)).toBe(status);
  });

  test("means what the caller says, where it says something", () => {
    const codes = { NOT_FOUND: "VOLUME_LOST" } as const;
    expect(translateRpcError("VolumeDelete", refusal(Status.NOT_FOUND), { codes }).code).toBe("VOLUME_LOST");
    expect(translateRpcError("VolumeDelete", refusal(Status.ABORTED), { codes }).code).toBe("MODAL_REFUSED");
  });

  test("with a retry policy is throttling, whatever the status is", () => {
    const error = translateRpcError("FunctionMap", refusal(Status.INTERNAL), { retryAfterMs: 2500 });
    expect(error).toMatchObject({ code: "MODAL_THROTTLED", kind: "quota", retryAfterMs: 2500 });
  });

  test("after an abort is the signal's reason, when that is ours", () => {
    const reason = new MirumojiError("CANCELLED", "somebody asked");
    const signal = AbortSignal.abort(reason);
    expect(translateRpcError("FunctionMap", new Error("aborted"), { signal })).toBe(reason);
    const foreign = translateRpcError("FunctionMap", new Error("aborted"), { signal: AbortSignal.abort() });
    expect(foreign.code).toBe("INTERRUPTED");
  });

  test("that is no gRPC status is a server that cannot be reached", () => {
    const error = translateRpcError("AppCreate", new Error("no token came"));
    expect(error.code).toBe("MODAL_UNAVAILABLE");
    expect(error.message).toContain("no token came");
  });
});

describe("the retry policy in the status details", () => {
  /** One length-delimited protobuf field. */
  const field = (number: number, bytes: Uint8Array): Buffer =>
    Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes]);
  const seconds = (value: number): Buffer => {
    const float = Buffer.alloc(5);
    float[0] = 13;
    float.writeFloatLE(value, 1);
    return float;
  };
  const policy = (value: Uint8Array, type = "modal.client.RPCRetryPolicy"): Buffer =>
    field(3, Buffer.concat([field(1, Buffer.from(`type.googleapis.com/${type}`)), field(2, value)]));
  const status = Buffer.concat([Buffer.from([8, 8]), field(2, Buffer.from("slow down"))]);

  test("gives the wait in milliseconds", () => {
    expect(retryAfterMs(Buffer.concat([status, policy(seconds(1.5))]))).toBe(1500);
  });

  test("is found behind other details", () => {
    const other = policy(Buffer.from([8, 1]), "modal.client.RateLimit");
    expect(retryAfterMs(Buffer.concat([status, other, policy(seconds(3))]))).toBe(3000);
  });

  test("without a time is zero", () => {
    expect(retryAfterMs(policy(Buffer.alloc(0)))).toBe(0);
  });

  test("is absent from other details, nothing, and garbage", () => {
    expect(retryAfterMs(status)).toBeUndefined();
    expect(retryAfterMs(undefined)).toBeUndefined();
    expect(retryAfterMs(Buffer.from([0xff, 0xff]))).toBeUndefined();
  });
});
