import { z } from "zod";
import { MirumojiError } from "./errors.ts";

const amount = z.number().nonnegative().optional();

/** Spending limits in USD; a limit that is left out does not bind. Days and months are UTC. */
export const budgetSchema = z.object({
  /** Estimated cost of one call. */
  perJob: amount,
  /** All jobs together. */
  perDay: amount,
  perMonth: amount,
  /** Each tenant; jobs without a tenant are bound by the others only. */
  tenantPerDay: amount,
  tenantPerMonth: amount,
  /** Whether a job over a day's or a month's limit fails, or waits until that begins anew. */
  over: z.enum(["fail", "wait"]).optional(),
});
export type Budget = z.output<typeof budgetSchema>;
export type BudgetLimit = Exclude<keyof Budget, "over">;

/** A limit that leaves no room for a call. */
export interface OverBudget {
  /** Estimated cost of the call. */
  readonly usd: number;
  readonly limit: BudgetLimit;
  readonly limitUsd: number;
  /** Spent, and held for calls that are not over. */
  readonly usedUsd: number;
  readonly renewsInSeconds: number;
  readonly over: "fail" | "wait";
}

/** Whether anything is limited. Tenants' own limits do not count. */
export function hasLimits({ over: _over, ...limits }: Budget): boolean {
  return Object.values(limits).some((limit) => limit !== undefined);
}

/** Limits in micro USD, as the scripts compute with them. */
export function microLimits({ over, ...limits }: Budget): Record<string, number | string> {
  const micro = Object.entries(limits).filter((entry): entry is [string, number] => entry[1] !== undefined);
  return {
    ...Object.fromEntries(micro.map(([name, value]) => [name, Math.round(value * 1e6)])),
    ...(over === undefined ? {} : { over }),
  };
}

/** Seconds of a start that nothing is known about: image, model, first request. */
const START_SECONDS = 30;
/** Media of unknown length counts as a long film, so that a limit rather holds too early. */
const UNKNOWN_MEDIA_SECONDS = 2 * 3600;
/** Paid seconds for each second of media, until calls have ended. */
export const FIRST_SPEED = { transcribe: 0.2, convert: 0.5 } as const;

/** Estimates the cost of a call; 0 where the GPU has no price. `speed`: paid seconds for each second of media. */
export function estimateUsd(about: {
  readonly type: "transcribe" | "convert";
  readonly mediaSeconds: number | undefined;
  readonly speed: number | null;
  readonly usdPerSecond: number | null;
  /** How many containers have to start. */
  readonly containers?: number | undefined;
}): number {
  const { type, mediaSeconds = UNKNOWN_MEDIA_SECONDS, speed, usdPerSecond, containers = 1 } = about;
  const seconds = START_SECONDS * containers + mediaSeconds * (speed ?? FIRST_SPEED[type]);
  return seconds * (usdPerSecond ?? 0);
}

const WORDS: Record<BudgetLimit, string> = {
  perJob: "of one job",
  perDay: "of the day",
  perMonth: "of the month",
  tenantPerDay: "of the tenant's day",
  tenantPerMonth: "of the tenant's month",
};

/** The error of a call that is over a limit. */
export function overBudgetError({ usd, limit, limitUsd, usedUsd, ...rest }: OverBudget): MirumojiError {
  const used = limit === "perJob" ? "" : ` and ${usedUsd.toFixed(2)} are spent or held`;
  const message = `the call is estimated at ${usd.toFixed(4)} USD; the limit ${WORDS[limit]} is ${limitUsd.toFixed(2)}${used}`;
  const waits = rest.over === "wait" && limit !== "perJob";
  return waits
    ? new MirumojiError("BUDGET_SPENT", message, { retryAfterMs: rest.renewsInSeconds * 1000 })
    : new MirumojiError("BUDGET_EXCEEDED", message);
}
