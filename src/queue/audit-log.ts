import type { Redis } from "ioredis";
import { z } from "zod";
import { parseJson } from "./job-view.ts";
import { apiKeys } from "./keys.ts";

const entrySchema = z.object({
  /** Epoch milliseconds, by Redis' clock. */
  at: z.number(),
  /** `key <ID>` for a caller of the API, `command line` for whoever reaches Redis itself. */
  actor: z.string(),
  /** Name of the key. */
  name: z.string().optional(),
  tenant: z.string().optional(),
  address: z.string().optional(),
  /** `job.submit`, `job.cancel`, `job.retry`, `job.delete`, `key.create`, `key.revoke`. */
  action: z.string(),
  /** ID of the job or key. */
  target: z.string().optional(),
  /** `done`, or the code of the error. */
  result: z.string(),
});
export type AuditEntry = z.output<typeof entrySchema>;

/** Record of changes and their authors, newest last; bounded, so that nobody can fill Redis with it. */
export interface AuditLog {
  write(entry: Omit<AuditEntry, "at">): Promise<void>;
  /** The newest first. */
  read(limit: number): Promise<AuditEntry[]>;
}

const KEPT = 100_000;

export function openAuditLog(redis: Redis, prefix: string): AuditLog {
  const { audit } = apiKeys(prefix);
  return {
    async write(entry) {
      await redis.xadd(audit, "MAXLEN", "~", KEPT, "*", "entry", JSON.stringify(entry));
    },
    async read(limit) {
      const found = await redis.xrevrange(audit, "+", "-", "COUNT", limit);
      return found.flatMap(([id, [, text]]) => {
        const entry = parseJson(text);
        if (typeof entry !== "object") return [];
        return entrySchema.safeParse({ ...entry, at: Number(id.split("-")[0]) }).data ?? [];
      });
    },
  };
}
