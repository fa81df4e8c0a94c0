import { z } from "zod";
import { type CallParts, callPartsSchema, type PartInput } from "./facts.ts";

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
  /**
   * All of the call's time in parts: those beside the GPU, and before them `coldStart`, which is what is left of the time
   * from opening the call until its end was known (queueing, start of the container, the way of the answer), or of the
   * paid time where several containers ran. Null where the function does not say.
   */
  parts: callPartsSchema.extend({ coldStart: count }).nullable().default(null),
  /** How many parts of a film it was for; absent where it was for all of it. */
  inputs: z.int().positive().optional(),
  /** Estimate by the price table of the day `pricesAsOf`; null where it has no price for the GPU. */
  usd: count.nullable(),
  pricesAsOf: z.string(),
  /** The row of that table. */
  usdPerSecond: count.nullable().default(null),
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
  parts: callPartsSchema
    .extend({ coldStart: count })
    .nullable()
    .default(null)
    .describe("Seconds of the calls in parts; null when one of them does not say."),
  openCallId: z
    .string()
    .nullable()
    .default(null)
    .describe("The call that has not ended; null once all are over, as far as the server says."),
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
    readonly inputs?: number;
    readonly parts?: CallParts;
  },
  { gpu, asOf, usdPerSecond }: GpuPrice,
): EndedCall {
  const { callId, outcome, totalMs, runMs, inputs, parts } = end;
  const seconds = (runMs ?? totalMs ?? 0) / 1000;
  return {
    callId,
    outcome,
    // Several containers wait and run at the same time.
    waitSeconds:
      runMs === null || totalMs === null || inputs !== undefined ? null : Math.max(0, totalMs - runMs) / 1000,
    seconds,
    gpu,
    usd: usdPerSecond === null ? null : seconds * usdPerSecond,
    pricesAsOf: asOf,
    usdPerSecond,
    parts:
      parts === undefined
        ? null
        : { coldStart: coldStart(parts, inputs === undefined ? (totalMs ?? 0) / 1000 : seconds), ...parts },
    ...(inputs === undefined || inputs === 0 ? {} : { inputs }),
  };
}

function coldStart({ download, load, compute, upload }: CallParts, all: number): number {
  return Math.max(0, all - download - load - compute - upload);
}

/** Adds the parts of several up; undefined when one of them is not known. */
export function sumOfParts<T extends CallParts>(all: readonly (T | null | undefined)[]): T | undefined {
  return (
    all.reduce<T | null | undefined>((sum, one) => {
      if (sum === null) return one;
      if (sum === undefined || one === null || one === undefined) return undefined;
      const names = Object.keys(sum) as (keyof T)[];
      return Object.fromEntries(
        names.map((name) => [name, Number(sum[name]) + Number(one[name])]),
      ) as unknown as T;
    }, null) ?? undefined
  );
}

/** Seconds that are paid for the inputs of a call: as long as they ran or, where one has not ended, since it was put. */
export function paidSeconds(inputs: readonly PartInput[], now: number): number {
  return inputs.reduce((sum, { seconds, sentAt }) => sum + (seconds ?? Math.max(0, now - sentAt) / 1000), 0);
}

/** Adds the calls up. */
export function receiptOf(
  calls: readonly EndedCall[],
  traffic: Pick<Receipt, "sentBytes" | "savedBytes" | "receivedBytes" | "volumeId" | "openCallId">,
): Receipt {
  const usd = calls.reduce<number | null>(
    (sum, call) => (sum === null || call.usd === null ? null : sum + call.usd),
    0,
  );
  return {
    calls: [...calls],
    gpuSeconds: calls.reduce((sum, { seconds }) => sum + seconds, 0),
    usd,
    parts: sumOfParts(calls.map(({ parts }) => parts)) ?? null,
    ...traffic,
    volumeDeleted: false,
  };
}
