import { z } from "zod";
import type { Budget } from "../job/budget.ts";

const usd = (about: string) => z.coerce.number("must be a number of USD").min(0).optional().describe(about);

/** Spending limits; part of the schema of the environment. */
export const budgetVariables = {
  MIRUMOJI_BUDGET_PER_JOB: usd(
    "Most that one call may cost by its estimate, in USD; a job over it fails as `BUDGET_EXCEEDED`.",
  ),
  MIRUMOJI_BUDGET_PER_DAY: usd("Most that all jobs may cost in a day (UTC), in USD. Running calls count."),
  MIRUMOJI_BUDGET_PER_MONTH: usd("Most that all jobs may cost in a calendar month (UTC), in USD."),
  MIRUMOJI_TENANT_BUDGET_PER_DAY: usd(
    "Most that each tenant may cost in a day, in USD. `tenants set` gives a tenant other limits.",
  ),
  MIRUMOJI_TENANT_BUDGET_PER_MONTH: usd("Most that each tenant may cost in a calendar month, in USD."),
  MIRUMOJI_BUDGET_OVER: z
    .enum(["fail", "wait"])
    .default("fail")
    .describe("Whether a job over a limit of the day or the month fails, or waits until that renews."),
};

const budgetVariablesSchema = z.object(budgetVariables);

/** The limits that all workers of a pool should be given alike. */
export function budgetOf(variables: z.output<typeof budgetVariablesSchema>): Budget {
  return {
    perJob: variables.MIRUMOJI_BUDGET_PER_JOB,
    perDay: variables.MIRUMOJI_BUDGET_PER_DAY,
    perMonth: variables.MIRUMOJI_BUDGET_PER_MONTH,
    tenantPerDay: variables.MIRUMOJI_TENANT_BUDGET_PER_DAY,
    tenantPerMonth: variables.MIRUMOJI_TENANT_BUDGET_PER_MONTH,
    over: variables.MIRUMOJI_BUDGET_OVER,
  };
}
