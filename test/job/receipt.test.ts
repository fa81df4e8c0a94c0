import { describe, expect, it } from "vitest";
import { endedCall, receiptOf } from "../../src/job/receipt.ts";

const PRICE = { gpu: "A10G", asOf: "2026-05-07", usdPerSecond: 0.001 };
const TRAFFIC = { sentBytes: 1, savedBytes: 2, receivedBytes: 3, volumeId: "vo-1", openCallId: null };
const parts = { download: 1, load: 2, compute: 10, upload: 1 };

describe("parts of a call", () => {
  it("add up to the time from opening it until its end was known", () => {
    const end = { callId: "fc-1", outcome: "succeeded" as const, totalMs: 20_000, runMs: 15_000 };
    expect(endedCall({ ...end, parts }, PRICE)).toMatchObject({
      seconds: 15,
      usdPerSecond: 0.001,
      parts: { coldStart: 6, ...parts },
    });
  });

  it("add up to the paid time where several containers ran", () => {
    const end = { callId: "fc-1", outcome: "succeeded" as const, totalMs: 9000, runMs: 15_000, inputs: 3 };
    expect(endedCall({ ...end, parts }, PRICE).parts).toEqual({ coldStart: 1, ...parts });
  });

  it("are summed up, and are not known when a call does not say", () => {
    const end = { callId: "fc-1", outcome: "succeeded" as const, totalMs: 15_000, runMs: 15_000 };
    const told = endedCall({ ...end, parts }, PRICE);
    const failed = endedCall({ ...end, callId: "fc-2", outcome: "failed" }, PRICE);
    const twice = { coldStart: 2, download: 2, load: 4, compute: 20, upload: 2 };
    expect(receiptOf([told, told], TRAFFIC).parts).toEqual(twice);
    expect(receiptOf([told, failed], TRAFFIC).parts).toBeNull();
    expect(receiptOf([], TRAFFIC).parts).toBeNull();
  });
});
