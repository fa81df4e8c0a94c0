import { z } from "zod";

const rowSchema = z.object({
  case: z.string(),
  runs: z.number(),
  completed: z.number(),
  callsStarted: z.number(),
  volumesLeft: z.number(),
  volumesExpiring: z.number(),
  recoverySeconds: z.number().nullable(),
});
type Row = z.output<typeof rowSchema>;

/** Activity of a worker when it was killed, by the side effect of its fault point. */
const EFFECTS: Record<string, string> = {
  create: "making the volume",
  put: "uploading",
  open: "opening the call",
  start: "starting the call",
  poll: "waiting for the result",
  get: "downloading",
  outputs: "writing outputs",
  delete: "deleting the volume",
  settle: "clearing the records",
};

/** Names of groups by pattern; the name may use the part that the pattern captured. */
type Groups = readonly (readonly [RegExp, (captured: string) => string])[];

/** Groups of cases. The first matching pattern names the group; a case without a match is its own group. */
const GROUPS: Groups = [
  [/^kill at .* of an undo$/u, () => "worker killed while undoing a cancelled job"],
  [/^kill at (\w+):/u, (effect) => `worker killed around ${EFFECTS[effect] ?? effect}`],
  [
    /^(SIGKILL|clean stop) in .*, short leases$/u,
    (event) => `${event} in upload, call, download; lease of 2 s`,
  ],
  [
    /^(SIGKILL|clean stop) in .*, default/u,
    (event) => `${event} in upload, call, download; default settings`,
  ],
  [/^blocks: /u, () => "blocks cut, short, wrong or refused on the wire"],
  [/^registration /u, () => "every fault of the server while functions are registered"],
  [/^[A-Z]\w+ (refused|done, .*|internal error|throttled|stream cut|slow)$/u, (kind) => `every RPC: ${kind}`],
];

/** Groups of the short table; every case is in one of them. */
const KINDS: Groups = [
  [/^kill at|SIGKILL|random kills/u, () => "workers killed (SIGKILL)"],
  [/^clean stop|SIGTERM/u, () => "workers stopped (SIGTERM)"],
  [/^Redis away|^GPU host away|^worker - /u, () => "Redis, GPU host or network away"],
  [
    /^blocks: |^registration |^[A-Z]\w+ (?:refused|done|internal|throttled|stream|slow)|^map without/u,
    () => "requests that fail, hang or lose their answer",
  ],
  [/^/u, () => "frozen workers, vanished volumes, calls and apps, full disks"],
];

/** Tables of one run of the crash suite, as Markdown. */
export interface CrashTables {
  /** One row per kind of trouble. */
  readonly inBrief: string;
  /** One row per group of similar cases. */
  readonly inGroups: string;
  /** One row per case. */
  readonly inFull: string;
}

/** Makes the tables from `test-results/crash.json`. */
export function crashTables(json: string): CrashTables {
  const groupOf = (row: Row) => nameIn(GROUPS, row);
  // Test files run in parallel; related cases are shown together.
  const rows = z
    .array(rowSchema)
    .parse(JSON.parse(json))
    .toSorted((a, b) => rankOf(a, GROUPS) - rankOf(b, GROUPS));
  const byKind = rows.toSorted((a, b) => rankOf(a, KINDS) - rankOf(b, KINDS));
  return {
    inBrief: grouped(byKind, (row) => nameIn(KINDS, row)),
    inGroups: grouped(rows, groupOf),
    inFull: table(rows.map((row) => line(row.case, [row]))),
  };
}

/**
 * Replaces the table between `<!-- crash table: NAME -->` and the next `<!-- end of crash table -->`.
 * @throws Error when the text has no place for it
 */
export function fillIn(text: string, name: keyof CrashTables, content: string): string {
  const [begin, end] = [`<!-- crash table: ${name} -->`, "<!-- end of crash table -->"];
  const from = text.indexOf(begin);
  const to = text.indexOf(end, from);
  if (from === -1 || to === -1) throw new Error(`no ${begin} ... ${end}`);
  return `${text.slice(0, from)}${begin}\n\n${content}\n\n${text.slice(to)}`;
}

function rankOf(row: Row, groups: Groups): number {
  const rank = groups.findIndex(([pattern]) => pattern.test(row.case));
  return rank === -1 ? groups.length : rank;
}

function nameIn(groups: Groups, row: Row): string {
  for (const [pattern, name] of groups) {
    const match = pattern.exec(row.case);
    if (match !== null) return name(match[1] ?? "");
  }
  return row.case;
}

function grouped(rows: readonly Row[], nameOf: (row: Row) => string): string {
  const groups = new Map<string, Row[]>();
  for (const row of rows) groups.set(nameOf(row), [...(groups.get(nameOf(row)) ?? []), row]);
  return table([...groups].map(([name, members]) => line(name, members)));
}

function table(lines: readonly string[]): string {
  return [
    "| event | cases | jobs | correct | calls started | volumes left | orphans (expired) | recovery time (s) |",
    "|---|--:|--:|--:|--:|--:|--:|--:|",
    ...lines,
  ].join("\n");
}

function line(name: string, rows: readonly Row[]): string {
  const sum = (count: (row: Row) => number) => String(rows.reduce((total, row) => total + count(row), 0));
  const recoveries = rows.flatMap(({ recoverySeconds }) => recoverySeconds ?? []);
  const [least, most] = [Math.min(...recoveries), Math.max(...recoveries)];
  const range = least === most ? String(most) : `${least} to ${most}`;
  const cells = [
    name,
    String(rows.length),
    sum((row) => row.runs),
    sum((row) => row.completed),
    sum((row) => row.callsStarted),
    sum((row) => row.volumesLeft),
    sum((row) => row.volumesExpiring),
    recoveries.length === 0 ? "" : range,
  ];
  return `| ${cells.join(" | ")} |`;
}
