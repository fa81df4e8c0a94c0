import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Redis } from "ioredis";
import { z } from "zod";
import { MirumojiError } from "../job/errors.ts";
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
  /** Epoch milliseconds. */
  createdAt: z.number(),
});

/** A key as it is shown: without anything that opens a door. */
export type ApiKey = Omit<z.output<typeof recordSchema>, "v" | "hash">;

export interface ApiKeys {
  /** Makes a key. What it gives is shown once and kept nowhere. */
  create(key: Pick<ApiKey, "name" | "scopes" | "tenant" | "requestsPerMinute">): Promise<{
    readonly key: ApiKey;
    readonly secret: string;
  }>;
  /** Gives null for what is no key, unknown or revoked. */
  verify(secret: string): Promise<ApiKey | null>;
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
  return {
    async create(wanted) {
      const id = randomBytes(6).toString("hex");
      const secret = randomBytes(32).toString("base64url");
      const key = { ...wanted, id, createdAt: now() };
      await redis.hset(keys.keys, id, JSON.stringify({ v: 1, ...key, hash: digest(secret).toString("hex") }));
      return { key, secret: `mk_${id}_${secret}` };
    },
    async verify(text) {
      const [, id, secret] = SECRET.exec(text) ?? [];
      if (id === undefined || secret === undefined) return null;
      const record = recordSchema.safeParse(parseJson(await redis.hget(keys.keys, id)));
      if (!record.success) return null;
      const { v: _v, hash, ...key } = record.data;
      if (!timingSafeEqual(digest(secret), Buffer.from(hash, "hex"))) return null;
      await noteUse(id);
      return key;
    },
    async list() {
      const [records, used] = await Promise.all([redis.hvals(keys.keys), redis.hgetall(keys.used)]);
      return records
        .flatMap((record) => recordSchema.safeParse(parseJson(record)).data ?? [])
        .map(({ v: _v, hash: _hash, ...key }) => ({
          ...key,
          lastUsedAt: used[key.id] === undefined ? null : Number(used[key.id]),
        }))
        .toSorted((a, b) => a.createdAt - b.createdAt);
    },
    async revoke(id) {
      const [removed] = await Promise.all([redis.hdel(keys.keys, id), redis.hdel(keys.used, id)]);
      if (removed === 0) {
        throw new MirumojiError("KEY_NOT_FOUND", `there is no API key ${JSON.stringify(id)}`);
      }
    },
  };
}

function digest(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}
