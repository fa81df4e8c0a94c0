import { type Command, InvalidArgumentError, Option } from "commander";
import { MirumojiError } from "../job/errors.ts";
import { shownUrl, type Webhook, WEBHOOK_EVENTS, webhookSchema } from "../job/webhooks.ts";
import { checkOutboundUrl } from "../net/outbound.ts";
import { type ApiKey, type ApiKeys, openApiKeys, SCOPES, type Scope } from "../queue/api-keys.ts";
import { type AuditEntry, type AuditLog, openAuditLog } from "../queue/audit-log.ts";
import { connectClientRedis } from "../queue/connection.ts";
import { openOutbox, type Outbox } from "../queue/outbox.ts";
import { openWebhookSecrets, type WebhookSecrets } from "../queue/webhook-secrets.ts";
import { clientEnvironment } from "./dev-session.ts";
import { guarded, note, print, printJson } from "./output.ts";

/** The operator's books in Redis. */
interface Desk {
  readonly keys: ApiKeys;
  readonly audit: AuditLog;
  readonly outbox: Outbox;
  readonly secrets: WebhookSecrets;
}

interface CreateOptions {
  webhookUrl?: string;
  webhookEvents?: string;
  name: string;
  scopes: string;
  tenant?: string;
  requestsPerMinute?: number;
  json?: boolean;
}

export function addKeys(program: Command): void {
  const keys = program.command("keys").description("keys of the HTTP API");
  keys
    .command("create")
    .description("make a key; it is shown once and kept nowhere")
    .requiredOption("--name <name>", "whose key it is")
    .addOption(new Option("--scopes <list>", `any of ${SCOPES.join(",")}`).default(SCOPES.join(",")))
    .option("--tenant <tenant>", "the only tenant whose jobs it makes and sees")
    .option("--requests-per-minute <count>", "most requests in a minute", parseCount)
    .option("--webhook-url <url>", "where the ends of its jobs are told")
    .option("--webhook-events <list>", `which: any of ${WEBHOOK_EVENTS.join(",")}`)
    .option("--json", "one JSON document on stdout")
    .action(guarded(({ json }: CreateOptions) => json === true, create));
  keys
    .command("webhook")
    .description("tell the ends of a key's jobs elsewhere, or nowhere")
    .argument("<id>", "ID of the key")
    .option("--url <url>", "where; without it nowhere")
    .option("--events <list>", `which: any of ${WEBHOOK_EVENTS.join(",")}`)
    .option("--json", "one JSON document on stdout")
    .action(guarded((_id: string, { json }: WebhookOptions) => json === true, changeWebhook));
  keys
    .command("list")
    .description("show the keys, without what opens doors")
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        ({ json }: { json?: boolean }) => json === true,
        async ({ json }: { json?: boolean }) => {
          const list = await withDesk(async ({ keys: desk }) => await desk.list());
          if (json === true) printJson(list);
          else if (list.length === 0) note("no keys yet; `keys create` makes one");
          else print(list.map(describeKey).join("\n"));
        },
      ),
    );
  keys
    .command("revoke")
    .description("let a key open nothing any more, from now on")
    .argument("<id>", "ID of the key")
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        (_id: string, { json }: { json?: boolean }) => json === true,
        async (id: string, { json }: { json?: boolean }) => {
          await withDesk(async ({ keys: desk, audit }) => {
            await desk.revoke(id);
            await audit.write({ actor: "command line", action: "key.revoke", target: id, result: "done" });
          });
          if (json === true) printJson({ id, revoked: true });
          else print(`revoked ${id}`);
        },
      ),
    );
  keys
    .command("audit")
    .description("show who changed what over the API, newest first")
    .option("-n, --limit <count>", "how many", parseCount, 50)
    .option("--json", "one JSON document on stdout")
    .action(
      guarded(
        ({ json }: { json?: boolean; limit: number }) => json === true,
        async ({ json, limit }: { json?: boolean; limit: number }) => {
          const entries = await withDesk(async ({ audit }) => await audit.read(limit));
          if (json === true) printJson(entries);
          else if (entries.length === 0) note("nothing was changed yet");
          else print(entries.map(describeEntry).join("\n"));
        },
      ),
    );
}

interface WebhookOptions {
  url?: string;
  events?: string;
  json?: boolean;
}

async function changeWebhook(id: string, { url, events, json }: WebhookOptions): Promise<void> {
  const webhook = parseWebhook(url, events);
  await withDesk(async ({ keys, audit }) => {
    await keys.setWebhook(id, webhook);
    await audit.write({ actor: "command line", action: "key.webhook", target: id, result: "done" });
  });
  if (json === true) printJson({ id, webhook: webhook !== null });
  else print(webhook === null ? `${id} tells nobody` : `${id} tells ${shownUrl(webhook.url)}`);
}

/** @throws MirumojiError `REQUEST_INVALID`, `URL_NOT_ALLOWED` */
function parseWebhook(url: string | undefined, events: string | undefined): Webhook | null {
  if (url === undefined) return null;
  const { environment } = clientEnvironment();
  const outbound = { privateNetworks: environment.MIRUMOJI_PRIVATE_NETWORKS };
  checkOutboundUrl(url, outbound);
  const parsed = webhookSchema.safeParse({ url, events: events?.split(",").map((event) => event.trim()) });
  if (parsed.success) return parsed.data;
  throw new MirumojiError(
    "REQUEST_INVALID",
    `the events of a webhook are any of ${WEBHOOK_EVENTS.join(", ")}`,
  );
}

async function create({
  name,
  scopes,
  tenant,
  requestsPerMinute,
  webhookUrl,
  webhookEvents,
  json,
}: CreateOptions): Promise<void> {
  const webhook = parseWebhook(webhookUrl, webhookEvents);
  const wanted = { name, scopes: parseScopes(scopes), tenant: tenant ?? null, webhook };
  const made = await withDesk(async ({ keys, audit }) => {
    const created = await keys.create({ ...wanted, requestsPerMinute: requestsPerMinute ?? null });
    const { id } = created.key;
    await audit.write({ actor: "command line", name, action: "key.create", target: id, result: "done" });
    return created;
  });
  const shown = {
    ...made.key,
    webhook: webhook === null ? null : { ...webhook, url: shownUrl(webhook.url) },
  };
  if (json === true) printJson({ ...shown, key: made.secret });
  else {
    note(`key ${made.key.id} for ${name}; it is not shown again:`);
    print(made.secret);
  }
}

export async function withDesk<T>(act: (desk: Desk) => Promise<T>): Promise<T> {
  const { environment } = clientEnvironment();
  const { MIRUMOJI_QUEUE_PREFIX: prefix } = environment;
  const redis = await connectClientRedis(environment);
  try {
    return await act({
      keys: openApiKeys(redis, prefix, Date.now),
      audit: openAuditLog(redis, prefix),
      outbox: openOutbox(redis, prefix),
      secrets: openWebhookSecrets(redis, prefix, Date.now),
    });
  } finally {
    redis.disconnect();
  }
}

function parseScopes(text: string): Scope[] {
  return text.split(",").map((name) => {
    const scope = SCOPES.find((known) => known === name.trim());
    if (scope !== undefined) return scope;
    throw new MirumojiError("REQUEST_INVALID", `--scopes: ${name} is none of ${SCOPES.join(", ")}`);
  });
}

function describeKey(key: ApiKey & { lastUsedAt: number | null }): string {
  const { id, name, scopes, tenant, requestsPerMinute, lastUsedAt } = key;
  const used = lastUsedAt === null ? "never used" : `used ${time(lastUsedAt)}`;
  const limit = requestsPerMinute === null ? "no limit" : `${requestsPerMinute} a minute`;
  return [id, name, scopes.join(","), tenant ?? "every tenant", limit, used].join("  ");
}

function describeEntry({ at, actor, name, action, target, result, address }: AuditEntry): string {
  return [time(at), name === undefined ? actor : `${actor} (${name})`, address, action, target, result]
    .filter((part) => part !== undefined)
    .join("  ");
}

function time(ms: number): string {
  return new Date(ms).toISOString();
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 1_000_000)
    throw new InvalidArgumentError("must be 1 to 1000000");
  return count;
}
