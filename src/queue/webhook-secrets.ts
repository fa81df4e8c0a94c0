import { randomBytes } from "node:crypto";
import type { Redis } from "ioredis";
import { z } from "zod";
import { parseJson } from "./job-view.ts";
import { webhookKeys } from "./keys.ts";

const secretsSchema = z.array(
  z.object({
    secret: z.string(),
    /** Epoch milliseconds from which on it signs no more; null for the current one. */
    until: z.number().nullable(),
  }),
);

/** Signing secrets: of an API key for the jobs that it submits, and the pool's for all others. */
export interface WebhookSecrets {
  /** Those that sign now, the current one first; made when there is none yet. */
  valid(owner: string | undefined): Promise<string[]>;
  /** Makes another one; the one before signs beside it for a while, so that receivers can change over. */
  rotate(owner: string | undefined, keepMs: number): Promise<string>;
}

const POOL = "pool";

export function openWebhookSecrets(redis: Redis, prefix: string, now: () => number): WebhookSecrets {
  const { secrets: key } = webhookKeys(prefix);
  const read = async (field: string) =>
    secretsSchema.catch([]).parse(parseJson(await redis.hget(key, field)));
  return {
    async valid(owner = POOL) {
      let found = await read(owner);
      if (found.length === 0) {
        // Of those that make the first one at the same moment, one wins.
        await redis.hsetnx(key, owner, JSON.stringify([{ secret: newSecret(), until: null }]));
        found = await read(owner);
      }
      return found.filter(({ until }) => until === null || until > now()).map(({ secret }) => secret);
    },
    async rotate(owner = POOL, keepMs) {
      const secret = newSecret();
      const [current] = await read(owner);
      const before = current === undefined ? [] : [{ secret: current.secret, until: now() + keepMs }];
      await redis.hset(key, owner, JSON.stringify([{ secret, until: null }, ...before]));
      return secret;
    },
  };
}

/** Form of the Standard Webhooks specification, with 256 bits. */
function newSecret(): string {
  return `whsec_${randomBytes(32).toString("base64")}`;
}
