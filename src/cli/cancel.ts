import type { Command } from "commander";
import { openClient } from "./client.ts";
import { describeJob } from "./job-text.ts";
import { guarded, note, print, printJson } from "./output.ts";

interface CancelOptions {
  json?: boolean;
  wait?: boolean;
}

export function addCancel(program: Command): void {
  program
    .command("cancel")
    .description("stop a job: its GPU call is cancelled and its volume deleted")
    .argument("<id>", "job ID")
    .option("-w, --wait", "wait until it is over")
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        (_id: string, { json }: CancelOptions) => json === true,
        async (id: string, { json, wait }: CancelOptions) => {
          await using client = await openClient();
          const { accepted } = await client.jobs.cancel(id);
          const job = wait === true ? await client.jobs.wait(id, { pollMs: 100 }) : await client.jobs.get(id);
          if (json === true) printJson({ accepted, job });
          else {
            note(accepted ? "asked to stop" : "the job was over already; nothing changed");
            print(describeJob(job));
          }
        },
      ),
    );
}
