import { type Command, InvalidArgumentError, Option } from "commander";
import { EVERY_TENANT, readTurnLimits, type TurnLimits, writeTurnLimits } from "../queue/tenants.ts";
import { readTenantBudgets, type TenantBudget, writeTenantBudget } from "../queue/budgets.ts";
import { openRedisClient, type RedisClient } from "../queue/redis-client.ts";
import { clientEnvironment } from "./dev-session.ts";
import { guarded, note, print, printJson } from "./output.ts";

interface SetOptions {
  readonly perJob?: number;
  readonly perDay?: number;
  readonly perMonth?: number;
  readonly over?: "fail" | "wait";
  readonly weight?: number;
  readonly running?: number;
  readonly waiting?: number;
  readonly jobsPerDay?: number;
  readonly json?: boolean;
}

type Limits = TenantBudget & TurnLimits;

export function addTenants(program: Command): void {
  const tenants = program.command("tenants").description("turns and limits of single tenants");
  tenants
    .command("set")
    .description(
      "give a tenant limits of its own, in the place of those it had; without any, those of all tenants count",
    )
    .argument(
      "<tenant>",
      "name, as in requests and API keys; '*' for all that have none of their own",
      parseTenant,
    )
    .option("--weight <number>", "turns that it has while another tenant has one (1)", parseWeight)
    .option("--running <jobs>", "most jobs at a time", parseCount)
    .option("--waiting <jobs>", "most jobs that wait; more are refused", parseCount)
    .option("--jobs-per-day <jobs>", "most jobs in a day (UTC); more are refused", parseCount)
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
          const limits = await withSource(readLimits);
          if (json === true) printJson(limits);
          else if (Object.keys(limits).length === 0) note("no tenant has limits of its own");
          else print(Object.entries(limits).map(describe).join("\n"));
        },
      ),
    );
}

async function set(tenant: string, options: SetOptions): Promise<void> {
  const { perJob, perDay, perMonth, over, json } = options;
  const budget: TenantBudget = { perJob, tenantPerDay: perDay, tenantPerMonth: perMonth, over };
  const { weight, running, waiting, jobsPerDay } = options;
  const turns: TurnLimits = { weight, running, waiting, perDay: jobsPerDay };
  if (tenant === EVERY_TENANT && Object.values(budget).some((limit) => limit !== undefined)) {
    throw new InvalidArgumentError(
      "the spending limits of all tenants are settings: MIRUMOJI_TENANT_BUDGET_*",
    );
  }
  await withSource(async ({ redis, prefix }) => {
    if (tenant !== EVERY_TENANT) await writeTenantBudget(redis, prefix, tenant, budget);
    await writeTurnLimits(redis, prefix, tenant, turns);
  });
  if (json === true) printJson({ tenant, ...budget, ...turns });
  else print(describe([tenant, { ...budget, ...turns }]));
}

async function readLimits({ redis, prefix }: RedisClient["source"]): Promise<Record<string, Limits>> {
  const [budgets, turns] = await Promise.all([
    readTenantBudgets(redis, prefix),
    readTurnLimits(redis, prefix),
  ]);
  const names = [...new Set([...Object.keys(budgets), ...Object.keys(turns)])].toSorted();
  return Object.fromEntries(names.map((name) => [name, { ...budgets[name], ...turns[name] }]));
}

async function withSource<T>(use: (source: RedisClient["source"]) => Promise<T>): Promise<T> {
  await using client = await openRedisClient(clientEnvironment().environment);
  return await use(client.source);
}

function describe([tenant, limit]: [string, Limits]): string {
  const { perJob, tenantPerDay, tenantPerMonth, over, weight, running, waiting, perDay } = limit;
  const limits = [
    ...(weight === undefined ? [] : [`weight ${weight}`]),
    ...(running === undefined ? [] : [`${running} jobs at a time`]),
    ...(waiting === undefined ? [] : [`${waiting} waiting`]),
    ...(perDay === undefined ? [] : [`${perDay} jobs a day`]),
    ...(perJob === undefined ? [] : [`${perJob} USD a job`]),
    ...(tenantPerDay === undefined ? [] : [`${tenantPerDay} USD a day`]),
    ...(tenantPerMonth === undefined ? [] : [`${tenantPerMonth} USD a month`]),
    ...(over === undefined ? [] : [over === "wait" ? "jobs over them wait" : "jobs over them fail"]),
  ];
  return `${tenant.padEnd(24)}${limits.length === 0 ? "the limits of all tenants" : limits.join(", ")}`;
}

function parseTenant(text: string): string {
  if (text !== EVERY_TENANT && !/^[\w.-]{1,64}$/u.test(text)) {
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

function parseWeight(text: string): number {
  const weight = Number(text);
  if (!(weight > 0 && weight <= 1000)) throw new InvalidArgumentError("must be above 0 and at most 1000");
  return weight;
}

function parseCount(text: string): number {
  if (!/^\d{1,9}$/u.test(text)) throw new InvalidArgumentError("must be a number of jobs");
  return Number(text);
}
