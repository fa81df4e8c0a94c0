import { type Command, InvalidArgumentError, Option } from "commander";
import { type Expense, readExpenses } from "../queue/expenses.ts";
import { openRedisClient } from "../queue/redis-client.ts";
import { clientEnvironment } from "./dev-session.ts";
import { guarded, note, print, printJson } from "./output.ts";

const GROUPS = ["day", "tenant", "type"] as const;
type Group = (typeof GROUPS)[number];

interface CostsOptions {
  readonly by: Group;
  readonly since?: string;
  readonly json?: boolean;
}

const DAYS_SHOWN = 30;

export function addCosts(program: Command): void {
  program
    .command("costs")
    .description("show what GPU calls cost, estimated by the price table")
    .addOption(new Option("--by <group>", "sum up by").choices(GROUPS).default("day"))
    .option("--since <day>", "first day, YYYY-MM-DD (UTC); 30 days ago by default", parseDay)
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        ({ json }: CostsOptions) => json === true,
        async ({ by, since, json }: CostsOptions) => {
          await using client = await openRedisClient(clientEnvironment().environment);
          const { source } = client;
          const first = since ?? dayOf(Date.now() - (DAYS_SHOWN - 1) * 86_400_000);
          const rows = sumBy(by, await readExpenses(source.redis, source.prefix, first));
          if (json === true) printJson(rows);
          else if (rows.length === 0) note(`no GPU call has ended since ${first}`);
          else print(rows.map(describe).join("\n"));
        },
      ),
    );
}

interface Row {
  /** The day, the tenant (`-` for jobs without one) or the job type. */
  readonly group: string;
  readonly calls: number;
  readonly gpuSeconds: number;
  readonly usd: number;
}

function sumBy(by: Group, expenses: readonly Expense[]): Row[] {
  const rows = new Map<string, Row>();
  for (const expense of expenses) {
    const group = expense[by] ?? "-";
    const { calls, gpuSeconds, usd } = rows.get(group) ?? { calls: 0, gpuSeconds: 0, usd: 0 };
    rows.set(group, {
      group,
      calls: calls + expense.calls,
      gpuSeconds: gpuSeconds + expense.gpuSeconds,
      usd: usd + expense.usd,
    });
  }
  return [...rows.values()];
}

function describe({ group, calls, gpuSeconds, usd }: Row): string {
  const columns = [
    group.padEnd(24),
    `${calls} calls`.padStart(12),
    `${gpuSeconds.toFixed(1)} s`.padStart(14),
  ];
  return `${columns.join("")}${`${usd.toFixed(4)} USD`.padStart(16)}`;
}

function parseDay(text: string): string {
  if (!/^\d{4}-\d{2}-\d{2}$/u.test(text) || Number.isNaN(Date.parse(text))) {
    throw new InvalidArgumentError("must be a day such as 2026-05-07");
  }
  return text;
}

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
