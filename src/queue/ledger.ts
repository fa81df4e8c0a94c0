import { isJobType } from "../job/contract.ts";
import type { Queue } from "bullmq";
import type { Redis } from "ioredis";
import { z } from "zod";
import { MirumojiError } from "../job/errors.ts";
import { decodeCheckpoint } from "../job/checkpoint.ts";
import { jobKeys, ledgerKey } from "./keys.ts";
import type { LedgerEntry } from "./lease.ts";
import type { Queues } from "./queues.ts";
import { redisClock } from "./redis-clock.ts";
import { readJson, type TellUnreadable } from "./unreadable.ts";

const entrySchema = z.object({
  queue: z.string(),
  jobId: z.string(),
  createdAt: z.number(),
  callId: z.string().nullable(),
  appId: z.string().nullable(),
  /** Until when the volume of a failed job is kept for a retry, epoch milliseconds. */
  keptUntil: z.number().optional(),
});

export type LiveVolume = LedgerEntry & { readonly volumeId: string; readonly keptUntil?: number | undefined };

/** Whether a volume of the ledger is still its job's: `null`, or why it is a leftover. */
export type LeftoverReason = "job finished" | "job is gone" | "job uses another volume";

/** The record of every live volume, so that any process can keep it alive or remove it. */
export interface Ledger {
  list(): Promise<LiveVolume[]>;
  /** The same, with the IDs of volumes whose entries cannot be read: they are kept alive, and people are told. */
  read(): Promise<{ readonly volumes: LiveVolume[]; readonly unreadable: string[] }>;
  /** A checkpoint that cannot be read makes no leftover. */
  leftoverReason(volume: LiveVolume): Promise<LeftoverReason | null>;
  /** Takes a volume that is deleted out of the books, with the checkpoint of a job that is over. */
  strike(volume: LiveVolume, reason: LeftoverReason): Promise<void>;
}

export function openLedger(
  redis: Redis,
  queues: Queues,
  prefix: string,
  onUnreadable: TellUnreadable = () => undefined,
): Ledger {
  const read: Ledger["read"] = async () => {
    const volumes: LiveVolume[] = [];
    const unreadable: string[] = [];
    for (const [volumeId, text] of Object.entries(await redis.hgetall(ledgerKey(prefix)))) {
      const entry = entrySchema.safeParse(readJson(text));
      if (entry.success) volumes.push({ volumeId, ...entry.data });
      else unreadable.push(volumeId);
    }
    return { volumes, unreadable };
  };
  return {
    list: async () => (await read()).volumes,
    read,
    async leftoverReason(volume) {
      const queue: Queue | undefined = isJobType(volume.queue) ? queues[volume.queue] : undefined;
      const state = await queue?.getJobState(volume.jobId);
      if (state === undefined || state === "unknown") return "job is gone";
      if (state === "failed" && (volume.keptUntil ?? 0) > redisClock(redis).now()) return null;
      if (state === "completed" || state === "failed") return "job finished";
      const record = await redis.hget(jobKeys(prefix, volume.queue, volume.jobId).checkpoint, "record");
      // The ledger and the checkpoint are written in one go, so a live job's volume is in both.
      if (record === null) return "job uses another volume";
      const known = volumeOf(record);
      if (known === null) onUnreadable("checkpoint", volume.jobId);
      return known === null || known === "newer" || known === volume.volumeId
        ? null
        : "job uses another volume";
    },
    async strike(volume, reason) {
      if (reason !== "job uses another volume") {
        const { checkpoint, claims } = jobKeys(prefix, volume.queue, volume.jobId);
        await redis.del(checkpoint);
        const owner = `${volume.queue}:${volume.jobId}`;
        const claimed = Object.entries(await redis.hgetall(claims)).filter(([, holder]) => holder === owner);
        if (claimed.length > 0) await redis.hdel(claims, ...claimed.map(([target]) => target));
      }
      // Last, so that whoever dies before it leaves the rest to the next reaper.
      await redis.hdel(ledgerKey(prefix), volume.volumeId);
    },
  };
}

/** The volume of a stored checkpoint, "" when it has none, `newer` where only a newer worker knows; null when it cannot be read. */
function volumeOf(record: string): string | null {
  try {
    return decodeCheckpoint(record).facts.volumeId ?? "";
  } catch (error) {
    return error instanceof MirumojiError && error.code === "NEEDS_NEWER_WORKER" ? "newer" : null;
  }
}
