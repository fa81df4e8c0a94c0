import { z } from "zod";

const count = z.number().nonnegative();

/** A GPU call that is over, and what it cost. */
export const endedCallSchema = z.object({
  callId: z.string(),
  outcome: z.enum(["succeeded", "failed", "cancelled", "lost"]),
  /** From opening the call until it ran: queueing and cold start. Null where the server did not say how long it ran. */
  waitSeconds: count.nullable(),
  /**
   * Seconds that are paid: how long the function ran by the server's clock or, where that is not known, all of the time
   * since the call was opened.
   */
  seconds: count,
  gpu: z.string(),
  /** Estimate by the price table of the day `pricesAsOf`; null where it has no price for the GPU. */
  usd: count.nullable(),
  pricesAsOf: z.string(),
});
export type EndedCall = z.output<typeof endedCallSchema>;

/** Expenses of a job, and the proof that nothing of it is left. */
export const receiptSchema = z.object({
  calls: z.array(endedCallSchema),
  gpuSeconds: count.describe("Seconds that are paid, of all calls."),
  usd: count.nullable().describe("Estimated cost of all calls; null when one of them has no price."),
  sentBytes: count,
  savedBytes: count,
  receivedBytes: count.describe("Size of the outputs."),
  volumeId: z.string().nullable(),
  volumeDeleted: z
    .boolean()
    .describe(
      "True once the volume is deleted. False while the job runs, or when the reaper still has to do it.",
    ),
});
export type Receipt = z.output<typeof receiptSchema>;

/** Price of the GPU that calls run on. */
export interface GpuPrice {
  readonly gpu: string;
  /** Day of the price table. */
  readonly asOf: string;
  readonly usdPerSecond: number | null;
}

/** In the place of a GPU's name, of a call that has none; its cores are not counted. */
export const NO_GPU = "none";

/** The line of the receipt for a call that ended. Durations are in milliseconds and null where they are not known. */
export function endedCall(
  end: {
    readonly callId: string;
    readonly outcome: EndedCall["outcome"];
    readonly totalMs: number | null;
    readonly runMs: number | null;
  },
  { gpu, asOf, usdPerSecond }: GpuPrice,
): EndedCall {
  const { callId, outcome, totalMs, runMs } = end;
  const seconds = (runMs ?? totalMs ?? 0) / 1000;
  return {
    callId,
    outcome,
    waitSeconds: runMs === null || totalMs === null ? null : Math.max(0, totalMs - runMs) / 1000,
    seconds,
    gpu,
    usd: usdPerSecond === null ? null : seconds * usdPerSecond,
    pricesAsOf: asOf,
  };
}

/** Adds the calls up. */
export function receiptOf(
  calls: readonly EndedCall[],
  traffic: Pick<Receipt, "sentBytes" | "savedBytes" | "receivedBytes" | "volumeId">,
): Receipt {
  const usd = calls.reduce<number | null>(
    (sum, call) => (sum === null || call.usd === null ? null : sum + call.usd),
    0,
  );
  return {
    calls: [...calls],
    gpuSeconds: calls.reduce((sum, { seconds }) => sum + seconds, 0),
    usd,
    ...traffic,
    volumeDeleted: false,
  };
}
