import type { Command } from "commander";
import { openRedisClient } from "../queue/redis-client.ts";
import { isFinal } from "../job/summary.ts";
import { clientEnvironment } from "./dev-session.ts";
import { describeJob } from "./job-text.ts";
import { guarded, print, printJson } from "./output.ts";
import { notePause } from "./pause-note.ts";

export function addStatus(program: Command): void {
  program
    .command("status")
    .description("show one job")
    .argument("<id>", "job ID")
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        (_id: string, { json }: { json?: boolean }) => json === true,
        async (id: string, { json }: { json?: boolean }) => {
          await using client = await openRedisClient(clientEnvironment().environment);
          const job = await client.jobs.get(id);
          if (!isFinal(job.status)) await notePause(client);
          if (json === true) printJson(job);
          else print(describeJob(job));
        },
      ),
    );
}
