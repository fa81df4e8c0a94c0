import { PYTHON_SDKS } from "../../../../support/python-sdk.ts";

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

/** Scripts and commands of the Python SDK, which no other client has. */
const SCRIPTS = [
  "script: modal run, with add_local_python_source",
  "script: modal run, a function of a module in a package",
  "script: Function.map, starmap, for_each",
  "script: modal deploy",
  "command: modal app list",
  "command: modal app logs",
  "command: modal app stop",
  "command: modal volume create, list, rename, delete",
  "command: modal volume put, ls, get, rm",
  "script: an image with packages of its own",
  "script: a mounted volume",
  "script: a secret",
  "script: a schedule",
  "script: retries",
  "script: a list of GPUs",
  "script: a class",
  "script: a generator",
] as const;

/**
 * How each operation went with one client: `yes`, `refused` with one clear line, `-` where the client offers no such
 * thing, or what happened instead.
 */
export type Outcomes = Record<Operation, string> & Partial<Record<(typeof SCRIPTS)[number], string>>;

const CLIENTS = [
  "JS SDK 0.11.1",
  ...PYTHON_SDKS.map((version) => `Python SDK ${version}` as const),
  "mirumoji-worker",
] as const;
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
    ...[...OPERATIONS, ...SCRIPTS].map((operation) =>
      row([operation, ...CLIENTS.map((name) => results[name]?.[operation] ?? ifNotTried(name, operation))]),
    ),
  ].join("\n");
}

function ifNotTried(client: ClientName, operation: string): string {
  const isPythons = SCRIPTS.some((script) => script === operation);
  return isPythons && !client.startsWith("Python") ? "-" : "?";
}
