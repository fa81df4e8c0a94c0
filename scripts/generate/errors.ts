import { type ErrorCode, type ErrorKind, ERRORS } from "../../src/job/errors.ts";

const CONSEQUENCES: Record<ErrorKind, string> = {
  input: "fails at once",
  remote: "fails at once",
  defect: "fails at once",
  storage: "waits for the disk or Redis",
  budget: "waits, no try counted",
  transient: "tried again",
  platform: "waits, no try counted; the pool pauses",
  quota: "waits, no try counted; the pool pauses",
  worker: "goes on elsewhere, no try counted; the worker takes no jobs",
  lost: "made again",
  cancelled: "ends as cancelled",
  interrupted: "goes on elsewhere",
};

/** `docs/errors.md`: every code with its meaning and remedy. */
export function errorsPage(): string {
  const codes = (Object.keys(ERRORS) as ErrorCode[]).toSorted();
  return [
    "# Errors",
    "",
    "Generated from `src/job/errors.ts` by `npm run generate`. Do not edit.",
    "",
    "A failed job carries one of these codes and a message that says what to do. Codes are stable: they are what",
    "`status --json`, logs and metrics show.",
    "",
    "| code | kind | the job | what happened | what to do |",
    "|---|---|---|---|---|",
    ...codes.map((code) => {
      const { kind, meaning, advice } = ERRORS[code];
      return `| \`${code}\` | ${kind} | ${CONSEQUENCES[kind]} | ${cell(meaning)} | ${cell(advice)} |`;
    }),
    "",
  ].join("\n");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
