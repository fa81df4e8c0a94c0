import type { Redis } from "ioredis";
import { expenseKeys } from "./keys.ts";

const DAY_MS = 86_400_000;
/** Expenses are kept this long, for a look at the year before. */
const KEPT_DAYS = 400;

/** Expenses of one day, job type and tenant. */
export interface Expense {
  /** `YYYY-MM-DD`, UTC. */
  readonly day: string;
  readonly type: string;
  /** Null for jobs without one. */
  readonly tenant: string | null;
  readonly calls: number;
  readonly gpuSeconds: number;
  /** Estimate; calls whose GPU has no price count nothing. */
  readonly usd: number;
}

/**
 * Reads the expenses since a day (`YYYY-MM-DD`), oldest first. They are booked in the same write that takes a call's
 * end into its job's checkpoint, so that a crash neither loses nor doubles one, and they outlive their jobs.
 */
export async function readExpenses(redis: Redis, prefix: string, since: string): Promise<Expense[]> {
  const accounts = new Map<string, { usd: number; ms: number; calls: number }>();
  for (const [field, value] of await allFields(redis, expenseKeys(prefix).spend)) {
    const [day = "", type = "", tenant = "", unit = ""] = field.split("|");
    const account = `${day}|${type}|${tenant}`;
    const sums = accounts.get(account) ?? { usd: 0, ms: 0, calls: 0 };
    if (unit === "usd" || unit === "ms" || unit === "calls") sums[unit] = Number(value);
    accounts.set(account, sums);
  }
  return [...accounts]
    .map(([account, { usd, ms, calls }]) => {
      const [day, type = "", tenant = ""] = account.split("|");
      return {
        day: new Date(Number(day) * DAY_MS).toISOString().slice(0, 10),
        type,
        tenant: tenant === "" ? null : tenant,
        calls,
        gpuSeconds: ms / 1000,
        usd: usd / 1e6,
      };
    })
    .filter(({ day }) => day >= since)
    .toSorted((a, b) => keyOf(a).localeCompare(keyOf(b)));
}

/** Removes what is older than the time that expenses are kept. */
export async function pruneExpenses(redis: Redis, prefix: string, now: number): Promise<void> {
  const oldest = Math.floor(now / DAY_MS) - KEPT_DAYS;
  const old = (await allFields(redis, expenseKeys(prefix).spend)).filter(
    ([field]) => Number(field.split("|", 1)[0]) < oldest,
  );
  if (old.length > 0) await redis.hdel(expenseKeys(prefix).spend, ...old.map(([field]) => field));
}

function keyOf({ day, type, tenant }: Expense): string {
  return `${day}|${type}|${tenant ?? ""}`;
}

/** Reads a large hash in pieces, which hold up nobody else. */
async function allFields(redis: Redis, key: string): Promise<[string, string][]> {
  const fields = new Map<string, string>();
  for (let cursor = "0"; ;) {
    const [next, flat] = await redis.hscan(key, cursor, "COUNT", 1000);
    for (let n = 0; n < flat.length; n += 2) fields.set(flat[n] ?? "", flat[n + 1] ?? "");
    if (next === "0") return [...fields];
    cursor = next;
  }
}
