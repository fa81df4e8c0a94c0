import type { Command } from "commander";
import { reapLeftovers } from "../compose/reap.ts";
import { clientEnvironment } from "./dev-session.ts";
import { guarded, note, print, printJson } from "./output.ts";

interface ReapOptions {
  json?: boolean;
  dryRun?: boolean;
}

export function addReap(program: Command): void {
  program
    .command("reap")
    .description(
      "remove volumes that nobody owns any more and cancel their calls (workers do it by themselves)",
    )
    .option("--dry-run", "only say what would be removed")
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        ({ json }: ReapOptions) => json === true,
        async ({ json, dryRun }: ReapOptions) => {
          const leftovers = await reapLeftovers(clientEnvironment().environment, {
            dryRun: dryRun === true,
            onProblem: note,
          });
          const rows = leftovers.map(({ volume: { volumeId, jobId, queue, callId }, reason, problem }) => ({
            volumeId,
            jobId,
            queue,
            callId,
            reason,
            problem,
          }));
          if (json === true) printJson({ dryRun: dryRun === true, leftovers: rows });
          else if (rows.length === 0) note("nothing is left over");
          for (const { volumeId, jobId, reason, problem } of json === true ? [] : rows) {
            print(
              `${volumeId}  of job ${jobId}: ${reason}${problem === null ? "" : `; not removed: ${problem}`}`,
            );
          }
          if (rows.some(({ problem }) => problem !== null)) process.exitCode = 1;
        },
      ),
    );
}
