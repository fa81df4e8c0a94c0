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
  settle: "clearing the books",
};
/** Groups of cases. The first matching pattern names the group; a case without a match is its own group. */
const GROUPS: readonly (readonly [RegExp, (caught: string) => string])[] = [
  [/^kill at .* of an undo$/u, () => "worker killed while undoing a cancelled job"],
  [/^kill at (\w+):/u, (effect) => `worker killed around ${EFFECTS[effect] ?? effect}`],
  [
    /^(SIGKILL|clean stop) in .*, short leases$/u,
    (what) => `${what} in upload, call, download; lease of 2 s`,
  ],
  [/^(SIGKILL|clean stop) in .*, default/u, (what) => `${what} in upload, call, download; default settings`],
  [/^blocks: /u, () => "blocks cut, short, wrong or refused on the wire"],
  [/^registration /u, () => "every fault of the server while functions are registered"],
  [/^[A-Z]\w+ (refused|done, .*|internal error|throttled|stream cut|slow)$/u, (kind) => `every RPC: ${kind}`],
];
const [BEGIN, END] = ["<!-- crash table -->", "<!-- end of crash table -->"];

/** The rows of a run of the crash suite as Markdown: one row per group, and one per case. */
export function crashTables(json: string): { inGroups: string; inFull: string } {
  // Test files run in parallel; related cases are shown together.
  const rows = z
    .array(rowSchema)
    .parse(JSON.parse(json))
    .toSorted((a, b) => rankOf(a.case) - rankOf(b.case));
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const name = groupOf(row.case);
    groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  return {
    inGroups: table([...groups].map(([name, members]) => line(name, members))),
    inFull: table(rows.map((row) => line(row.case, [row]))),
  };
}

/**
 * Replaces the table in a text.
 *
 * @throws Error when it has no place for one
 */
export function fillIn(text: string, content: string): string {
  const [before, rest] = text.split(BEGIN);
  const [, after] = rest?.split(END) ?? [];
  if (before === undefined || after === undefined) throw new Error(`no ${BEGIN} ... ${END}`);
  return `${before}${BEGIN}\n\n${content}\n\n${END}${after}`;
}

function rankOf(name: string): number {
  const rank = GROUPS.findIndex(([pattern]) => pattern.test(name));
  return rank === -1 ? GROUPS.length : rank;
}

function groupOf(name: string): string {
  for (const [pattern, words] of GROUPS) {
    const match = pattern.exec(name);
    if (match !== null) return words(match[1] ?? "");
  }
  return name;
}

function table(lines: readonly string[]): string {
  return [
    "| what happens | cases | jobs | correct | calls started | volumes left | orphans (expired) | recovery time (s) |",
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
