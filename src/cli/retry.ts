import type { Command } from "commander";
import { openClient } from "./client.ts";
import { describeJob } from "./job-text.ts";
import { guarded, print, printJson } from "./output.ts";

export function addRetry(program: Command): void {
  program
    .command("retry")
    .description("give a failed or cancelled job another life")
    .argument("<id>", "job ID")
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        (_id: string, { json }: { json?: boolean }) => json === true,
        async (id: string, { json }: { json?: boolean }) => {
          await using client = await openClient();
          await client.jobs.retry(id);
          const job = await client.jobs.get(id);
          if (json === true) printJson(job);
          else print(describeJob(job));
        },
      ),
    );
}
