import { type Command, InvalidArgumentError } from "commander";
import { openRedisClient } from "../queue/redis-client.ts";
import { clientEnvironment } from "./dev-session.ts";
import { describeRow } from "./job-text.ts";
import { guarded, note, print, printJson } from "./output.ts";
import { notePause } from "./pause-note.ts";

export function addList(program: Command): void {
  program
    .command("list")
    .description("show the newest jobs")
    .option("-n, --limit <count>", "how many", parseCount, 20)
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        ({ json }: { json?: boolean; limit: number }) => json === true,
        async ({ json, limit }: { json?: boolean; limit: number }) => {
          await using client = await openRedisClient(clientEnvironment().environment);
          const jobs = await client.jobs.list({ limit });
          await notePause(client);
          if (json === true) printJson(jobs);
          else if (jobs.length === 0) note("no jobs yet; `submit` makes one");
          else print(jobs.map(describeRow).join("\n"));
        },
      ),
    );
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 1000)
    throw new InvalidArgumentError("must be 1 to 1000");
  return count;
}
