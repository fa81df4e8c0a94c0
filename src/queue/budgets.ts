import type { Redis } from "ioredis";
import { type Budget, budgetSchema, microLimits } from "../job/budget.ts";
import { isJobType } from "../job/contract.ts";
import { parseJson } from "./job-view.ts";
import { expenseKeys, jobKeys } from "./keys.ts";
import { runScript } from "./scripts.ts";

/** Limits of one tenant that come before those of the settings. */
export type TenantBudget = Pick<Budget, "tenantPerDay" | "tenantPerMonth" | "perJob" | "over">;

/** The limits of tenants that have limits of their own, by tenant. */
export async function readTenantBudgets(redis: Redis, prefix: string): Promise<Record<string, TenantBudget>> {
  const stored = await redis.hgetall(expenseKeys(prefix).budgets);
  return Object.fromEntries(Object.entries(stored).map(([tenant, text]) => [tenant, inUsd(parseJson(text))]));
}

/** Replaces a tenant's limits; with none the settings bind it again. Jobs heed them from their next call on. */
export async function writeTenantBudget(
  redis: Redis,
  prefix: string,
  tenant: string,
  budget: TenantBudget,
): Promise<void> {
  const limits = microLimits(budget);
  const { budgets } = expenseKeys(prefix);
  if (Object.keys(limits).length === 0) await redis.hdel(budgets, tenant);
  else await redis.hset(budgets, tenant, JSON.stringify(limits));
}

function inUsd(stored: unknown): TenantBudget {
  const { over, ...micro } = budgetSchema.catch({}).parse(stored);
  const usd = Object.entries(micro).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value / 1e6]],
  );
  return { ...Object.fromEntries(usd), ...(over === undefined ? {} : { over }) };
}

/** USD that are spent or held, of the pool's day and month. */
export async function readBudgetUse(redis: Redis, prefix: string): Promise<{ day: number; month: number }> {
  const { spent, reserved } = expenseKeys(prefix);
  const [seconds] = await redis.time();
  const now = Number(seconds) * 1000;
  const [[day, month], held] = await Promise.all([
    redis.hmget(spent, `D|${Math.floor(now / 86_400_000)}`, `M|${new Date(now).toISOString().slice(0, 7)}`),
    redis.hget(reserved, "all"),
  ]);
  const running = Number(held ?? 0);
  return { day: (Number(day ?? 0) + running) / 1e6, month: (Number(month ?? 0) + running) / 1e6 };
}

/** Gives back what is held for jobs that are over, where the worker died before it could. */
export async function releaseLeftReservations(redis: Redis, prefix: string): Promise<void> {
  const { reserved } = expenseKeys(prefix);
  for (const owner of await redis.hkeys(reserved)) {
    const [queue = "", ...rest] = owner.split(":");
    if (!isJobType(queue)) continue;
    const jobId = rest.join(":");
    const { job } = jobKeys(prefix, queue, jobId);
    const keys = {
      job,
      reserved,
      completed: `${prefix}:${queue}:completed`,
      failed: `${prefix}:${queue}:failed`,
    };
    await runScript(redis, "release", { keys, args: { queue, jobId } });
  }
}

/** Removes the sums of days and months that are over. */
export async function pruneBudgetSums(redis: Redis, prefix: string, now: number): Promise<void> {
  const { spent } = expenseKeys(prefix);
  const today = Math.floor(now / 86_400_000);
  const old = (await redis.hkeys(spent)).filter((field) => {
    const [kind, period = ""] = field.split("|");
    if (kind === "D") return Number(period) < today - 1;
    return kind === "M" && period < new Date(now - 32 * 86_400_000).toISOString().slice(0, 7);
  });
  if (old.length > 0) await redis.hdel(spent, ...old);
}
