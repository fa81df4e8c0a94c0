import { type Command, InvalidArgumentError, Option } from "commander";
import { readTenantBudgets, type TenantBudget, writeTenantBudget } from "../queue/budgets.ts";
import { openRedisClient, type RedisClient } from "../queue/redis-client.ts";
import { clientEnvironment } from "./dev-session.ts";
import { guarded, note, print, printJson } from "./output.ts";

interface SetOptions {
  readonly perJob?: number;
  readonly perDay?: number;
  readonly perMonth?: number;
  readonly over?: "fail" | "wait";
  readonly json?: boolean;
}

export function addTenants(program: Command): void {
  const tenants = program.command("tenants").description("spending limits of single tenants");
  tenants
    .command("set")
    .description(
      "give a tenant limits of its own, in the place of those it had; without any, the settings count",
    )
    .argument("<tenant>", "name, as in requests and API keys", parseTenant)
    .option("--per-job <usd>", "most that one call may cost", parseUsd)
    .option("--per-day <usd>", "most in a day (UTC)", parseUsd)
    .option("--per-month <usd>", "most in a calendar month (UTC)", parseUsd)
    .addOption(new Option("--over <what>", "what becomes of a job that is over").choices(["fail", "wait"]))
    .option("--json", "one JSON document on stdout")
    .action(guarded((_tenant: string, { json }: SetOptions) => json === true, set));
  tenants
    .command("list")
    .description("show the tenants that have limits of their own")
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        ({ json }: { json?: boolean }) => json === true,
        async ({ json }: { json?: boolean }) => {
          const budgets = await withSource(
            async ({ redis, prefix }) => await readTenantBudgets(redis, prefix),
          );
          if (json === true) printJson(budgets);
          else if (Object.keys(budgets).length === 0) note("no tenant has limits of its own");
          else print(Object.entries(budgets).map(describe).join("\n"));
        },
      ),
    );
}

async function set(tenant: string, { perJob, perDay, perMonth, over, json }: SetOptions): Promise<void> {
  const budget: TenantBudget = { perJob, tenantPerDay: perDay, tenantPerMonth: perMonth, over };
  await withSource(async ({ redis, prefix }) => await writeTenantBudget(redis, prefix, tenant, budget));
  if (json === true) printJson({ tenant, ...budget });
  else print(describe([tenant, budget]));
}

async function withSource<T>(use: (source: RedisClient["source"]) => Promise<T>): Promise<T> {
  await using client = await openRedisClient(clientEnvironment().environment);
  return await use(client.source);
}

function describe([tenant, { perJob, tenantPerDay, tenantPerMonth, over }]: [string, TenantBudget]): string {
  const limits = [
    ...(perJob === undefined ? [] : [`${perJob} USD a job`]),
    ...(tenantPerDay === undefined ? [] : [`${tenantPerDay} USD a day`]),
    ...(tenantPerMonth === undefined ? [] : [`${tenantPerMonth} USD a month`]),
    ...(over === undefined ? [] : [over === "wait" ? "jobs over them wait" : "jobs over them fail"]),
  ];
  return `${tenant.padEnd(24)}${limits.length === 0 ? "the limits of the settings" : limits.join(", ")}`;
}

function parseTenant(text: string): string {
  if (!/^[\w.-]{1,64}$/u.test(text)) {
    throw new InvalidArgumentError("must be 1 to 64 letters, digits, dots, dashes and underscores");
  }
  return text;
}

function parseUsd(text: string): number {
  const usd = Number(text);
  if (text.trim() === "" || !Number.isFinite(usd) || usd < 0) {
    throw new InvalidArgumentError("must be an amount of USD, such as 2.50");
  }
  return usd;
}
