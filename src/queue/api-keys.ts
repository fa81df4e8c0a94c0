import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Redis } from "ioredis";
import { z } from "zod";
import { MirumojiError } from "../job/errors.ts";
import { shownUrl, type Webhook, webhookSchema } from "../job/webhooks.ts";
import { parseJson } from "./job-view.ts";
import { apiKeys } from "./keys.ts";

/** Rights of a key: submit jobs, read jobs, or change existing ones. */
export const SCOPES = ["submit", "read", "operate"] as const;
export type Scope = (typeof SCOPES)[number];

const recordSchema = z.object({
  v: z.literal(1),
  id: z.string(),
  name: z.string(),
  /** SHA-256 of the secret, hexadecimal. The secret has 256 bits of its own, so that a slow hash adds nothing. */
  hash: z.string(),
  scopes: z.array(z.enum(SCOPES)),
  /** The only tenant whose jobs it sees and makes; null for all. */
  tenant: z.string().nullable(),
  requestsPerMinute: z.int().positive().nullable(),
  /** Receiver of the ends of all jobs that are submitted with it. */
  webhook: webhookSchema.nullable().default(null),
  /** Epoch milliseconds. */
  createdAt: z.number(),
});

/** A key as it is shown: without anything that opens a door. */
export type ApiKey = Omit<z.output<typeof recordSchema>, "v" | "hash">;

export interface ApiKeys {
  /** Makes a key. What it gives is shown once and kept nowhere. */
  create(
    key: Pick<ApiKey, "name" | "scopes" | "tenant" | "requestsPerMinute"> & {
      readonly webhook?: Webhook | null;
    },
  ): Promise<{
    readonly key: ApiKey;
    readonly secret: string;
  }>;
  /** Gives null for what is no key, unknown or revoked. */
  verify(secret: string): Promise<ApiKey | null>;
  /** The key with this ID; null when there is none, or none any more. */
  byId(id: string): Promise<ApiKey | null>;
  /**
   * Checks that there is such a key, if one is named.
   *
   * @throws MirumojiError `KEY_NOT_FOUND`
   */
  require(id: string | undefined): Promise<void>;
  /** The key's receiver of webhooks; null without one, and for a key that is revoked. */
  webhookOf(id: string): Promise<Webhook | null>;
  /**
   * Gives the key another receiver of webhooks, or none.
   *
   * @throws MirumojiError `KEY_NOT_FOUND`
   */
  setWebhook(id: string, webhook: Webhook | null): Promise<void>;
  /** The keys as they may be shown: the address of a webhook may open something. */
  list(): Promise<(ApiKey & { readonly lastUsedAt: number | null })[]>;
  /**
   * The key opens nothing from this moment on.
   *
   * @throws MirumojiError `KEY_NOT_FOUND`
   */
  revoke(id: string): Promise<void>;
}

const SECRET = /^mk_([a-z0-9]{12})_([\w-]{43})$/u;
/** The time of the last use is written this often at most. */
const USED_EVERY_MS = 60_000;

export function openApiKeys(redis: Redis, prefix: string, now: () => number): ApiKeys {
  const keys = apiKeys(prefix);
  const noted = new Map<string, number>();
  const noteUse = async (id: string) => {
    if (now() - (noted.get(id) ?? 0) < USED_EVERY_MS) return;
    noted.set(id, now());
    await redis.hset(keys.used, id, String(now()));
  };
  const find = async (id: string) =>
    recordSchema.safeParse(parseJson(await redis.hget(keys.keys, id))).data ?? null;
  return {
    async create(wanted) {
      const id = randomBytes(6).toString("hex");
      const secret = randomBytes(32).toString("base64url");
      const key = { ...wanted, webhook: wanted.webhook ?? null, id, createdAt: now() };
      await redis.hset(keys.keys, id, JSON.stringify({ v: 1, ...key, hash: digest(secret).toString("hex") }));
      return { key, secret: `mk_${id}_${secret}` };
    },
    async verify(text) {
      const [, id, secret] = SECRET.exec(text) ?? [];
      if (id === undefined || secret === undefined) return null;
      const record = await find(id);
      if (record === null) return null;
      const { v: _v, hash, ...key } = record;
      if (!timingSafeEqual(digest(secret), Buffer.from(hash, "hex"))) return null;
      await noteUse(id);
      return key;
    },
    async byId(id) {
      const record = await find(id);
      if (record === null) return null;
      const { v: _v, hash: _hash, ...key } = record;
      await noteUse(id);
      return key;
    },
    async require(id) {
      if (id !== undefined && (await find(id)) === null) throw notFound(id);
    },
    webhookOf: async (id) => (await find(id))?.webhook ?? null,
    async setWebhook(id, webhook) {
      const record = await find(id);
      if (record === null) throw notFound(id);
      await redis.hset(keys.keys, id, JSON.stringify({ ...record, webhook }));
    },
    async list() {
      const [records, used] = await Promise.all([redis.hvals(keys.keys), redis.hgetall(keys.used)]);
      return records
        .flatMap((record) => recordSchema.safeParse(parseJson(record)).data ?? [])
        .map(({ v: _v, hash: _hash, ...key }) => ({
          ...key,
          webhook: key.webhook === null ? null : { ...key.webhook, url: shownUrl(key.webhook.url) },
          lastUsedAt: used[key.id] === undefined ? null : Number(used[key.id]),
        }))
        .toSorted((a, b) => a.createdAt - b.createdAt);
    },
    async revoke(id) {
      const [removed] = await Promise.all([redis.hdel(keys.keys, id), redis.hdel(keys.used, id)]);
      if (removed === 0) throw notFound(id);
    },
  };
}

function notFound(id: string): MirumojiError {
  return new MirumojiError("KEY_NOT_FOUND", `there is no API key ${JSON.stringify(id)}`);
}

function digest(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}
