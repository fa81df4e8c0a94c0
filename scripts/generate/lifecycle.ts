import {
  backoffCeilingMs,
  CRASH_BUDGET,
  LOST_BUDGET,
  LOST_BUDGETS,
  LOST_GOES_TO,
  MACHINE,
  PATH,
  type WorkingState,
} from "../../src/job/machine.ts";

const STATES: readonly WorkingState[] = [...PATH, "undo"];

/** `docs/lifecycle.md`: the machine's table as a picture and as text. */
export function lifecyclePage(): string {
  return [
    "# Life of a job",
    "",
    "Generated from `src/job/machine.ts` by `npm run generate`. Do not edit.",
    "",
    "```mermaid",
    "stateDiagram-v2",
    "  [*] --> queued",
    `  queued --> ${PATH[0]}: a worker takes the job`,
    ...PATH.map((state) => `  ${state} --> ${MACHINE[state].next}: done`),
    ...PATH.filter((state) => state !== "deleteVolume").map(
      (state) => `  ${state} --> undo: failed or cancelled`,
    ),
    "  undo --> failed",
    "  undo --> cancelled",
    ...Object.entries(LOST_GOES_TO).map(([code, state]) => `  call --> ${state}: ${code}`),
    "  completed --> [*]",
    "  failed --> [*]",
    "  cancelled --> [*]",
    "```",
    "",
    "| state | what its step does | tries | pause before the next try (full jitter below) | limit of one try | undone by |",
    "|---|---|---|---|---|---|",
    ...STATES.map(row),
    "",
    "- A step that succeeds leads to the next state; the facts it earned are written down in the same moment.",
    "- A call that is still running and a worker that stops cost no try.",
    `- A volume or call that vanished sends the job back to make it again, at most ${LOST_BUDGET} times in its life:`,
    ...Object.entries(LOST_GOES_TO).map(
      ([code, state]) => `  - \`${code}\` from any state goes back to \`${state}\`${budget(code)};`,
    ),
    `- Workers may die ${CRASH_BUDGET} times on one job; then it fails with \`CRASH_BUDGET_SPENT\`. A death in \`createVolume\`, where the`,
    "  input is looked at, counts as a try of it (`WORKER_DIED`): the pause parts it from jobs that only happened to be there.",
    "- Trouble with Modal (away, a quota, a refused token) costs no try: the pool or the worker pauses, and the job's deadline decides.",
    "- A volume that cannot be deleted does not fail a job whose outputs are written: it stays in the ledger.",
    "",
  ].join("\n");
}

/** The smaller budget of a code, where it has one. */
function budget(code: string): string {
  const own = Object.entries(LOST_BUDGETS).find(([name]) => name === code)?.[1];
  return own === undefined ? "" : `, at most ${own === 1 ? "once" : `${own} times`}`;
}

function row(state: WorkingState): string {
  const { about, attempts, attemptDeadlineMs, undo } = MACHINE[state];
  const pauses = [1, 2, 3].map((attempt) => duration(backoffCeilingMs(MACHINE[state], attempt)));
  const longest = duration(MACHINE[state].longestBackoffMs);
  const limit = attemptDeadlineMs === null ? "`MIRUMOJI_CALL_WAIT`" : duration(attemptDeadlineMs);
  return `| ${state} | ${about} | ${attempts} | ${pauses.join(", ")} ... ${longest} | ${limit} | ${undo ?? "-"} |`;
}

function duration(ms: number): string {
  const hours = ms / 3_600_000;
  if (hours >= 1) return `${hours} h`;
  return ms >= 60_000 ? `${ms / 60_000} min` : `${ms / 1000} s`;
}
