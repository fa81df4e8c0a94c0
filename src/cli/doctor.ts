import type { Command } from "commander";
import { guarded, note, print, printJson } from "./output.ts";
import { type Finding, runChecks } from "./doctor-checks.ts";
import { clientEnvironment } from "./dev-session.ts";

const MARKS = { ok: "ok  ", warning: "warn", problem: "FAIL" } as const;

export function addDoctor(program: Command): void {
  program
    .command("doctor")
    .description("say what is missing or wrong; exit code 0 only without problems")
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        ({ json }: { json?: boolean }) => json === true,
        async ({ json }: { json?: boolean }) => {
          const findings = await runChecks(clientEnvironment().environment);
          const ok = findings.every(({ level }) => level !== "problem");
          if (json === true) printJson({ ok, checks: findings });
          else {
            for (const finding of findings) print(line(finding));
            if (!ok) note("Something needs mending; see FAIL above.");
          }
          if (!ok) process.exitCode = 1;
        },
      ),
    );
}

function line({ level, name, detail, advice }: Finding): string {
  return `${MARKS[level]}  ${name.padEnd(14)} ${detail}${advice === null ? "" : `\n      ${"".padEnd(14)} -> ${advice}`}`;
}
