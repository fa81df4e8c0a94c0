import { readFile } from "node:fs/promises";
import { Argument, type Command } from "commander";
import type { BatchView } from "../job/batch.ts";
import { MirumojiError } from "../job/errors.ts";
import type { BatchJobs, BatchRequest } from "../client/batches.ts";
import { JOB_TYPES, type JobType } from "../job/contract.ts";
import { folderItems, MEDIA_GLOB } from "./batch-folder.ts";
import { openClient } from "./client.ts";
import { guarded, print, printJson } from "./output.ts";

interface SubmitOptions {
  readonly key?: string;
  readonly json?: boolean;
}

interface FolderOptions extends SubmitOptions {
  readonly glob: string;
  readonly request: string;
  readonly webhook?: string;
  readonly dryRun?: boolean;
}

export function addBatch(program: Command): void {
  const batch = program.command("batch").description("many jobs that are accepted together");
  batch
    .command("submit")
    .description("accept all jobs of a file, or none")
    .argument("<file>", 'JSON as `POST /v1/batches` takes it: {"items": [{"type", "request"}, ...]}')
    .option("--key <text>", "the same key with the same items gives the same batch")
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        (_file: string, { json }: SubmitOptions) => json === true,
        async (file: string, { key, json }: SubmitOptions) => {
          const wanted = await readBatch(file);
          await withBatches(async (batches) => {
            const { id } = await batches.submit(wanted, key === undefined ? {} : { idempotencyKey: key });
            show(await batches.get(id), json === true);
          });
        },
      ),
    );
  batch
    .command("folder")
    .description("accept a job for each file of a folder, or none")
    .addArgument(new Argument("<type>", "the job type").choices(JOB_TYPES))
    .argument("<folder>", "relative to the media root, which has to be on this machine")
    .option("--glob <pattern>", "files that are meant, such as '**/*.mkv'", MEDIA_GLOB)
    .option("--request <json>", "what each request has beside its `input`", "{}")
    .option("--webhook <url>", "is told once, at the end of the batch")
    .option("--key <text>", "the same key with the same files gives the same batch")
    .option("--dry-run", "show the batch, and submit nothing")
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        (_type: string, _folder: string, { json }: FolderOptions) => json === true,
        async (type: JobType, folder: string, options: FolderOptions) => {
          const { glob, request, webhook, key, dryRun, json } = options;
          const items = await folderItems(type, folder, { pattern: glob, request: objectOf(request) });
          const wanted: BatchRequest = {
            items,
            ...(webhook === undefined ? {} : { webhook: { url: webhook } }),
          };
          if (dryRun === true) return printJson(wanted);
          await withBatches(async (batches) => {
            const { id } = await batches.submit(wanted, key === undefined ? {} : { idempotencyKey: key });
            show(await batches.get(id), json === true);
          });
        },
      ),
    );
  for (const [name, description] of [
    ["status", "show how far a batch is"],
    ["cancel", "cancel the jobs of a batch that are not over"],
    ["retry", "retry the jobs of a batch that did not complete"],
  ] as const) {
    batch
      .command(name)
      .description(description)
      .argument("<id>", "ID of the batch")
      .option("--json", "one JSON document on stdout")
      .action(
        guarded(
          (_id: string, { json }: { json?: boolean }) => json === true,
          async (id: string, { json }: { json?: boolean }) => {
            await withBatches(async (batches) => {
              if (name !== "status") await batches[name](id);
              show(await batches.get(id), json === true);
            });
          },
        ),
      );
  }
}

/** @throws MirumojiError `REQUEST_INVALID` */
async function readBatch(file: string): Promise<BatchRequest> {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    throw new MirumojiError("REQUEST_INVALID", `${file} cannot be read`, { cause: error });
  });
  // Checked by who takes it.
  return parsedJson(text) as BatchRequest;
}

/** @throws MirumojiError `REQUEST_INVALID` */
function objectOf(text: string): object {
  const value = parsedJson(text);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new MirumojiError(
    "REQUEST_INVALID",
    '--request must be a JSON object, such as \'{"formats":["srt"]}\'',
  );
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

async function withBatches<T>(act: (batches: BatchJobs) => Promise<T>): Promise<T> {
  await using client = await openClient();
  return await act(client.batches);
}

function show(batch: BatchView, json: boolean): void {
  if (json) return printJson(batch);
  const { id, status, total, completed, failed, cancelled } = batch;
  const ends = `${completed} completed, ${failed} failed, ${cancelled} cancelled`;
  print(`${id}  ${status}\n  ${total} jobs: ${ends}, ${total - completed - failed - cancelled} to do`);
}
