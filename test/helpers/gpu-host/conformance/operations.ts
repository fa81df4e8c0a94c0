/** Operations that the job path needs of a client, in the order of the table in `docs/conformance.md`. */
export const OPERATIONS = [
  "volume: make an ephemeral one of version 2",
  "volume: make one by name",
  "volume: find it by name",
  "volume: find it by ID",
  "volume: put a file of several blocks",
  "volume: list",
  "volume: read back what was put",
  "volume: remove a file",
  "volume: delete",
  "image: from a registry",
  "app: ephemeral, with a mounted source file",
  "app: deploy",
  "app: find a deployed function by name",
  "call: wait for the result",
  "call: find it again by its ID",
  "call: find it again from a client that never saw it",
  "call: cancel",
  "call: tell why it failed",
  "call: send 3 MiB of arguments",
  "call: follow the output",
] as const;

export type Operation = (typeof OPERATIONS)[number];

/**
 * How each operation went with one client: `yes`, `-` where the client offers no such thing, or what
 * happened instead.
 */
export type Outcomes = Record<Operation, string>;

export const CLIENTS = ["JS SDK 0.11.1", "Python SDK 1.5.4", "mirumoji-worker"] as const;
export type ClientName = (typeof CLIENTS)[number];

/** Implementation of an operation by one client; null where it offers none. */
export type Attempts = Record<Operation, (() => Promise<unknown>) | null>;

/** Tries every operation in its order; a failure is what the table says of it. */
export async function tryAll(attempts: Attempts): Promise<Outcomes> {
  const outcomes: [Operation, string][] = [];
  for (const operation of OPERATIONS) {
    const attempt = attempts[operation];
    if (attempt === null) outcomes.push([operation, "-"]);
    else {
      const outcome = await attempt().then(
        () => "yes",
        (error: unknown) => `no: ${String(error).slice(0, 200)}`,
      );
      outcomes.push([operation, outcome]);
    }
  }
  return Object.fromEntries(outcomes) as Outcomes;
}

/** The table as Markdown; clients that were not tried have question marks. */
export function conformanceTable(results: Partial<Record<ClientName, Outcomes>>): string {
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    row(["operation", ...CLIENTS]),
    row(["---", ...CLIENTS.map(() => "---")]),
    ...OPERATIONS.map((operation) =>
      row([operation, ...CLIENTS.map((name) => results[name]?.[operation] ?? "?")]),
    ),
  ].join("\n");
}
