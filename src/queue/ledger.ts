import type { Redis } from "ioredis";
import { z } from "zod";
import { ledgerKey } from "./keys.ts";
import type { LedgerEntry } from "./lease.ts";

const entrySchema = z.object({
  queue: z.string(),
  jobId: z.string(),
  createdAt: z.number(),
  callId: z.string().nullable(),
  appId: z.string().nullable(),
});

/** The record of every live volume, so that any process can keep it alive or remove it. */
export interface Ledger {
  list(): Promise<(LedgerEntry & { volumeId: string })[]>;
}

export function openLedger(redis: Redis, prefix: string): Ledger {
  return {
    async list() {
      const entries = await redis.hgetall(ledgerKey(prefix));
      return Object.entries(entries).flatMap(([volumeId, text]) => {
        const entry = entrySchema.safeParse(JSON.parse(text));
        return entry.success ? [{ volumeId, ...entry.data }] : [];
      });
    },
  };
}
