import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** Figures of one case of the crash suite. */
export interface Row {
  readonly case: string;
  /** Jobs that were submitted. */
  readonly runs: number;
  /** Jobs of those that ended correctly. */
  readonly completed: number;
  readonly callsStarted: number;
  /** Volumes left on the server although they were recorded. */
  readonly volumesLeft: number;
  /** Live on the server because nobody could know of them; empty, without heartbeats, and gone when that is due. */
  readonly volumesExpiring: number;
  /** From the death to the moment at which another worker went on; the longest of the case. */
  readonly recoverySeconds: number | null;
}

const path = (name: string) => fileURLToPath(new URL(`../../../test-results/${name}`, import.meta.url));
const ROWS = path("crash-rows.jsonl");
const TABLE = path("crash.json");

/** Test files run in processes of their own; each adds its rows to one file. */
export function record(row: Row): void {
  mkdirSync(dirname(ROWS), { recursive: true });
  appendFileSync(ROWS, `${JSON.stringify(row)}\n`);
}

export function forgetRows(): void {
  rmSync(ROWS, { force: true });
}

/** Prints the one table of this run and leaves it in `test-results/crash.json`; nothing where no case ran. */
export function publishTable(): void {
  if (!existsSync(ROWS)) return;
  const rows = readFileSync(ROWS, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Row);
  forgetRows();
  writeFileSync(TABLE, `${JSON.stringify(rows, null, 2)}\n`);
  console.table(
    Object.fromEntries(
      rows.map((row) => [
        row.case,
        {
          runs: row.runs,
          completed: row.completed,
          "calls started": row.callsStarted,
          "volumes left": row.volumesLeft,
          "orphans (expired)": row.volumesExpiring,
          "recovery time (s)": row.recoverySeconds,
        },
      ]),
    ),
  );
}
