import type { Redis } from "ioredis";
import { z } from "zod";
import { JOB_TYPES } from "../job/contract.ts";
import { MirumojiError } from "../job/errors.ts";
import { parseJson } from "./job-view.ts";
import { tenantKeys } from "./keys.ts";
import { runScript } from "./scripts.ts";

/** Stands for all tenants that have no such limit of their own, and for jobs without a tenant. */
export const EVERY_TENANT = "*";

const turnLimitsSchema = z.object({
  /** Turns that a tenant has while another has one. Default 1. */
  weight: z.number().positive().max(1000).optional(),
  /** Most jobs that have begun and are not over. */
  running: z.int().min(1).optional(),
  /** Most jobs that wait for their turn. */
  waiting: z.int().min(0).optional(),
  /** Most jobs submitted in a day (UTC). */
  perDay: z.int().min(0).optional(),
});
export type TurnLimits = z.output<typeof turnLimitsSchema>;

/** The limits of those that have limits of their own, by tenant. */
export async function readTurnLimits(redis: Redis, prefix: string): Promise<Record<string, TurnLimits>> {
  const stored = await redis.hgetall(tenantKeys(prefix).limits);
  return Object.fromEntries(
    Object.entries(stored).map(([tenant, text]) => [
      tenant,
      turnLimitsSchema.catch({}).parse(parseJson(text)),
    ]),
  );
}

/** Replaces a tenant's limits; with none those of `EVERY_TENANT` bind it again. They count at once. */
export async function writeTurnLimits(
  redis: Redis,
  prefix: string,
  tenant: string,
  limits: TurnLimits,
): Promise<void> {
  const keys = tenantKeys(prefix);
  if (Object.values(limits).every((limit) => limit === undefined)) await redis.hdel(keys.limits, tenant);
  else await redis.hset(keys.limits, tenant, JSON.stringify(limits));
  // Those that had as many jobs running as they were allowed may be allowed more now.
  const held = tenant === EVERY_TENANT ? await heldTenants(redis, prefix) : [tenant];
  for (const name of held) {
    await runScript(redis, "release-tenant", { keys: {}, args: { prefix, tenant: name } });
  }
}

async function heldTenants(redis: Redis, prefix: string): Promise<string[]> {
  const { held } = tenantKeys(prefix);
  const lists = await Promise.all(JOB_TYPES.map(async (type) => await redis.zrange(held(type), "0", "-1")));
  return [...new Set(lists.flat())];
}

/** Jobs of one tenant. */
export interface TenantLoad {
  readonly tenant: string;
  readonly waiting: number;
  readonly running: number;
}

/** The tenants with the most jobs waiting or running, and the sums of all others. */
export async function readTenantLoad(
  redis: Redis,
  prefix: string,
  count: number,
): Promise<{ readonly top: readonly TenantLoad[]; readonly others: Omit<TenantLoad, "tenant"> }> {
  const { waiting, running, jobs, prioritized } = tenantKeys(prefix);
  const most = async (key: string) => await redis.zrevrange(key, 0, count - 1);
  const [mostWaiting, mostRunning, allRunning, ...allWaiting] = await Promise.all([
    most(waiting),
    most(running),
    redis.hlen(jobs),
    ...JOB_TYPES.map(async (type) => await redis.zcard(prioritized(type))),
  ]);
  const names = [...new Set([...mostWaiting, ...mostRunning])];
  const scores = async (key: string) => (names.length === 0 ? [] : await redis.zmscore(key, ...names));
  const [ofWaiting, ofRunning] = await Promise.all([scores(waiting), scores(running)]);
  const top = names
    .map((tenant, at) => ({
      tenant,
      waiting: Number(ofWaiting[at] ?? 0),
      running: Number(ofRunning[at] ?? 0),
    }))
    .toSorted((a, b) => b.waiting + b.running - (a.waiting + a.running))
    .slice(0, count);
  const rest = (all: number, of: (load: TenantLoad) => number) =>
    Math.max(
      0,
      top.reduce((left, load) => left - of(load), all),
    );
  return {
    top,
    others: {
      waiting: rest(
        allWaiting.reduce((sum, n) => sum + n, 0),
        (load) => load.waiting,
      ),
      running: rest(allRunning, (load) => load.running),
    },
  };
}

/** Ends the turns of jobs that are over without a word to their tenant: removed by hand, or finished by an older worker. */
export async function endLeftTurns(redis: Redis, prefix: string): Promise<void> {
  for (let cursor = "0"; ;) {
    const [next, flat] = await redis.hscan(tenantKeys(prefix).jobs, cursor, "COUNT", 1000);
    for (let n = 0; n < flat.length; n += 2) {
      const [queue = "", ...rest] = (flat[n] ?? "").split(":");
      const args = { prefix, queue, jobId: rest.join(":") };
      await runScript(redis, "end-turn", { keys: {}, args });
    }
    if (next === "0") return;
    cursor = next;
  }
}

/** Removes the counts of days that are over. */
export async function pruneTenantDays(redis: Redis, prefix: string, now: number): Promise<void> {
  const { days } = tenantKeys(prefix);
  const today = Math.floor(now / 86_400_000);
  const old = (await redis.hkeys(days)).filter((field) => Number(field.split("|", 1)[0]) < today - 1);
  if (old.length > 0) await redis.hdel(days, ...old);
}

/**
 * Makes room for jobs that come together, by the tenant of each, all or none.
 *
 * @throws MirumojiError `TENANT_LIMIT`
 */
export async function takeRoom(redis: Redis, prefix: string, tenants: readonly string[]): Promise<void> {
  const keys = tenantKeys(prefix);
  const limits = await readTurnLimits(redis, prefix);
  const [seconds] = await redis.time();
  const today = Math.floor(Number(seconds) / 86_400);
  const counted: [field: string, count: number][] = [];
  for (const tenant of new Set(tenants)) {
    const count = tenants.filter((one) => one === tenant).length;
    const { waiting, perDay } = { ...limits[EVERY_TENANT], ...limits[tenant] };
    if (waiting !== undefined && Number(await redis.zscore(keys.waiting, tenant)) + count > waiting) {
      throw tenantLimit("waiting", waiting);
    }
    const day = `${today}|${tenant}`;
    if (perDay !== undefined) {
      if (Number(await redis.hget(keys.days, day)) + count > perDay) throw tenantLimit("perDay", perDay);
      counted.push([day, count]);
    }
  }
  for (const [field, count] of counted) await redis.hincrby(keys.days, field, count);
}

/** The refusal of a submit by `turns.lua`, in words; any other error as it is. */
export function asTenantLimit(error: unknown): unknown {
  const [, limit, most] =
    /^TENANT_LIMIT (\w+) (\d+)$/u.exec(error instanceof Error ? error.message : "") ?? [];
  if (limit === undefined) return error;
  return tenantLimit(limit, Number(most), error);
}

function tenantLimit(limit: string, most: number, cause?: unknown): MirumojiError {
  const what = limit === "perDay" ? `${most} jobs a day (UTC)` : `${most} jobs that wait for their turn`;
  return new MirumojiError("TENANT_LIMIT", `this tenant may have ${what}; nothing was submitted`, { cause });
}
