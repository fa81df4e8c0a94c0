import { type Command, InvalidArgumentError } from "commander";
import { MirumojiError } from "../job/errors.ts";
import { shownUrl } from "../job/webhooks.ts";
import type { Delivery } from "../queue/outbox.ts";
import { withDesk } from "./keys.ts";
import { guarded, note, print, printJson } from "./output.ts";

const HOUR_MS = 3_600_000;

interface Options {
  json?: boolean;
  key?: string;
}

export function addWebhooks(program: Command): void {
  const webhooks = program.command("webhooks").description("webhooks of ended jobs");
  webhooks
    .command("list")
    .description("show what was given up, newest first, or what is on its way, oldest first")
    .option("--pending", "what is on its way")
    .option("-n, --limit <count>", "how many", parseCount, 50)
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        ({ json }: ListOptions) => json === true,
        async ({ pending, limit, json }: ListOptions) => {
          const which = pending === true ? "pending" : "dead";
          const list = await withDesk(async ({ outbox }) => await outbox.list(which, limit));
          if (json === true) printJson(list.map(shown));
          else if (list.length === 0) note(which === "dead" ? "none was given up" : "none is on its way");
          else print(list.map(describe).join("\n"));
        },
      ),
    );
  webhooks
    .command("replay")
    .description("try again, for another 24 hours, what was given up")
    .argument("[id...]", "IDs that `list` shows")
    .option("--all", "everything that was given up")
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        (_ids: string[], { json }: ReplayOptions) => json === true,
        async (ids: string[], { all, json }: ReplayOptions) => {
          const replayed = await replay(ids, all === true);
          if (json === true) printJson({ replayed });
          else print(`${replayed.length} to be delivered again`);
        },
      ),
    );
  webhooks
    .command("secret")
    .description("show the secrets that sign: of the pool, or of an API key")
    .option("--key <id>", "ID of the API key")
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        ({ json }: Options) => json === true,
        async ({ key, json }: Options) => {
          const valid = await withDesk(async ({ keys, secrets }) => {
            await keys.require(key);
            return await secrets.valid(key);
          });
          if (json === true) printJson({ secrets: valid });
          else print(valid.join("\n"));
        },
      ),
    );
  webhooks
    .command("rotate")
    .description("make another secret; the one before signs beside it for a while")
    .option("--key <id>", "ID of the API key; else the pool's")
    .option("--keep-hours <hours>", "how long both sign", parseCount, 24)
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        ({ json }: RotateOptions) => json === true,
        async ({ key, keepHours, json }: RotateOptions) => {
          const secret = await withDesk(async ({ keys, secrets, audit }) => {
            await keys.require(key);
            const made = await secrets.rotate(key, keepHours * HOUR_MS);
            await audit.write({
              actor: "command line",
              action: "webhook.rotate",
              ...(key === undefined ? {} : { target: key }),
              result: "done",
            });
            return made;
          });
          if (json === true) printJson({ secret });
          else print(secret);
        },
      ),
    );
}

interface ListOptions extends Options {
  pending?: boolean;
  limit: number;
}
interface ReplayOptions extends Options {
  all?: boolean;
}
interface RotateOptions extends Options {
  keepHours: number;
}

/** More than are ever kept. */
const ALL = 1_000_000;

async function replay(ids: readonly string[], isAll: boolean): Promise<string[]> {
  if (ids.length === 0 && !isAll) {
    throw new MirumojiError("REQUEST_INVALID", "name the webhooks to replay, or say --all");
  }
  return await withDesk(async ({ outbox, audit }) => {
    // The oldest first, so that those of one job keep their order.
    const wanted = isAll ? (await outbox.list("dead", ALL)).map(({ id }) => id).toReversed() : ids;
    for (const id of wanted) {
      await outbox.replay(id);
      await audit.write({ actor: "command line", action: "webhook.replay", target: id, result: "done" });
    }
    return [...wanted];
  });
}

/** A delivery without the address, which may open something, and without the job's whole record. */
function shown({ id, eventId, event, at, tries, url, owner, lastError, job }: Delivery) {
  return {
    id,
    eventId,
    event: `job.${event}`,
    jobId: job.id,
    at,
    tries,
    to: url === undefined ? `key ${owner ?? ""}` : shownUrl(url),
    lastError: lastError ?? null,
  };
}

function describe(delivery: Delivery): string {
  const { id, event, jobId, at, tries, to, lastError } = shown(delivery);
  const tried = `${tries} ${tries === 1 ? "try" : "tries"}`;
  return [id, new Date(at).toISOString(), event, jobId, to, tried, lastError ?? ""].join("  ").trimEnd();
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > ALL)
    throw new InvalidArgumentError(`must be 1 to ${ALL}`);
  return count;
}
