import type { Redis } from "ioredis";
import { type Checkpoint, encodeCheckpoint } from "../job/checkpoint.ts";
import { type Budget, type BudgetLimit, microLimits, type OverBudget } from "../job/budget.ts";
import type { EndedCall } from "../job/receipt.ts";
import type { JobSummary } from "../job/summary.ts";
import { jobKeys } from "./keys.ts";
import { NO_REPLICAS, type Replicas } from "./replicas.ts";
import { runScript, type ScriptAnswers } from "./scripts.ts";

/** Ledger entry of a live volume: enough for any process to keep it alive or remove it. */
export interface LedgerEntry {
  readonly queue: string;
  readonly jobId: string;
  readonly createdAt: number;
  readonly callId: string | null;
  /** The app that the call was started in. */
  readonly appId: string | null;
}

/** Changes of one write: all of them are made, or none. */
export interface Commit {
  readonly checkpoint?: Checkpoint;
  readonly ledger?: { volumeId: string; entry: LedgerEntry };
  /** A volume that is no longer the job's. */
  readonly strike?: string;
  readonly summary?: JobSummary;
  readonly log?: string;
  /** A call that ended, to be booked with the day's expenses. */
  readonly spend?: EndedCall | undefined;
  /** Files that the job will write, to be claimed for it. */
  readonly targets?: readonly string[] | undefined;
}

/**
 * How a write ended: `written`; `cancelRequested`: written, and a cancel is requested; `refused`: not written,
 * because another worker owns the job: leave, touch nothing; `claimed <job ID>`: not written, because that job will
 * write one of the files.
 */
export type Committed = ScriptAnswers["commit"];

/** `refused`: another worker owns the job. */
export type Reserved = "reserved" | "refused" | OverBudget;

/** The right to work on one job, until another worker has it. */
export interface Lease {
  /**
   * The stored checkpoint as text, or null; whether a cancel is requested; when the job was last given a new life, and
   * the crashes that BullMQ had counted by then.
   */
  load(): Promise<{
    record: string | null;
    cancelRequested: boolean;
    retriedAt: number;
    crashesBefore: number;
  }>;
  /** Writes while the lease holds. */
  commit(commit: Commit): Promise<Committed>;
  /**
   * Holds the estimated cost of the next call against all limits, in the place of what was held before. It is given
   * back when the call's end is booked, and when the job is over. `estimate` gets the paid seconds for each second of
   * media of the calls before, or null.
   */
  reserve(estimate: (speed: number | null) => number, limits: Budget): Promise<Reserved>;
  /** Paid seconds for each second of media of the calls before, or null. */
  speed(): Promise<number | null>;
  /**
   * Says again what was committed last, where Redis has forgotten it; by the rules of `restate.lua` also when the lease is
   * lost.
   */
  restate(): Promise<void>;
  /**
   * Waits until enough replicas have what was committed last.
   *
   * @throws MirumojiError `REDIS_NO_REPLICAS`
   */
  confirm(): Promise<void>;
  /** Clears the books after BullMQ has the job as finished. `volumeId`: deleted for sure. */
  settle(end: {
    volumeId: string | null;
    summary: JobSummary;
    log: string;
    targets?: readonly string[] | undefined;
    /** Where the job goes on when it is retried within that time; its volume is kept alive for it. */
    kept?: { readonly checkpoint: Checkpoint; readonly forMs: number };
  }): Promise<void>;
}

/** The lease that BullMQ gave with `token`. */
export function createLease(
  redis: Redis,
  options: { prefix: string; queue: string; jobId: string; token: string; replicas?: Replicas },
): Lease {
  const keys = jobKeys(options.prefix, options.queue, options.jobId);
  const speed = async (): Promise<number | null> => {
    const speedOf = `speed|${options.queue}`;
    const [ms, mediaMs] = await redis.hmget(keys.spent, `${speedOf}|ms`, `${speedOf}|media`);
    return Number(mediaMs) > 0 ? Number(ms) / Number(mediaMs) : null;
  };
  const { replicas = NO_REPLICAS } = options;
  /** Last checkpoint that Redis has confirmed. */
  let last: { readonly record: string; readonly checkpoint: Checkpoint } | null = null;
  let line: Commit["ledger"];
  let life = "0";
  /** Token of the delivery that wrote the checkpoint which was read. */
  let readWriter: string | undefined;
  return {
    async load() {
      const [[record = null, writer], [requestedAt, retriedAt, crashes]] = await Promise.all([
        redis.hmget(keys.checkpoint, "record", "writer"),
        redis.hmget(keys.job, "cancelRequestedAt", "retriedAt", "mirumojiCrashes"),
      ]);
      life = retriedAt ?? "0";
      readWriter = writer ?? undefined;
      return {
        record,
        cancelRequested: typeof requestedAt === "string",
        retriedAt: Number(retriedAt ?? 0) || 0,
        crashesBefore: Math.max(0, Math.trunc(Number(crashes ?? 0)) || 0),
      };
    },
    async commit({ checkpoint, ledger, strike, summary, log, spend, targets }) {
      const record = checkpoint && encodeCheckpoint(checkpoint);
      const written = await runScript(redis, "commit", {
        keys,
        args: {
          token: options.token,
          readWriter,
          prefix: options.prefix,
          queue: options.queue,
          jobId: options.jobId,
          checkpoint: record,
          volumeId: ledger?.volumeId,
          ledgerEntry: ledger && JSON.stringify(ledger.entry),
          struckVolumeId: strike,
          summary: summary && JSON.stringify(summary),
          log,
          targets: listOf(targets),
          spentCallId: spend?.callId,
          spentMicroUsd: spend && String(Math.round((spend.usd ?? 0) * 1e6)),
          mediaMs: spend?.outcome === "succeeded" ? mediaMsOf(checkpoint) : undefined,
          spentMs: spend && String(Math.round(spend.seconds * 1000)),
        },
      });
      if (written === "written" || written === "cancelRequested") {
        if (checkpoint !== undefined && record !== undefined) last = { record, checkpoint };
        if (ledger !== undefined) line = ledger;
        if (strike !== undefined && line?.volumeId === strike) line = undefined;
      }
      return written;
    },
    async restate() {
      if (last === null) return;
      const { record, checkpoint } = last;
      await runScript(redis, "restate", {
        keys,
        args: {
          token: options.token,
          readWriter,
          jobId: options.jobId,
          record,
          revision: String(checkpoint.revision ?? 0),
          crashesSeen: String(checkpoint.crashesSeen ?? 0),
          retriedAt: life,
          volumeId: line?.volumeId,
          ledgerEntry: line && JSON.stringify(line.entry),
        },
      });
    },
    async confirm() {
      if (last === null) return;
      await replicas.confirm({ key: keys.checkpoint, field: "record", value: last.record });
    },
    speed,
    async reserve(estimate, limits) {
      const usd = estimate(await speed());
      const [answer, limit, microUsd, used, seconds, over] = await runScript(redis, "reserve", {
        keys,
        args: {
          token: options.token,
          queue: options.queue,
          jobId: options.jobId,
          microUsd: String(Math.round(usd * 1e6)),
          limits: JSON.stringify(microLimits(limits)),
        },
      });
      if (answer !== "over") return answer;
      return {
        usd,
        limit: limit as BudgetLimit,
        limitUsd: Number(microUsd) / 1e6,
        usedUsd: Number(used) / 1e6,
        renewsInSeconds: Number(seconds),
        over: over === "wait" ? "wait" : "fail",
      };
    },
    async settle({ volumeId, summary, log, targets, kept }) {
      await runScript(redis, "settle", {
        keys,
        args: {
          queue: options.queue,
          jobId: options.jobId,
          volumeId: volumeId ?? undefined,
          summary: JSON.stringify(summary),
          log,
          targets: listOf(targets),
          kept: kept && encodeCheckpoint(kept.checkpoint),
          keptVolumeId: kept?.checkpoint.facts.volumeId,
          keepMs: kept && String(kept.forMs),
        },
      });
    },
  };
}

function mediaMsOf(checkpoint: Checkpoint | undefined): string | undefined {
  const { result, parts, partInputs } = checkpoint?.facts ?? {};
  const heard = partInputs?.flatMap(({ part }) => parts?.[part] ?? []);
  const seconds =
    heard === undefined ? result?.mediaSeconds : heard.reduce((sum, { start, end }) => sum + end - start, 0);
  return seconds === undefined ? undefined : String(Math.round(seconds * 1000));
}

function listOf(targets: readonly string[] | undefined): string | undefined {
  return targets === undefined || targets.length === 0 ? undefined : JSON.stringify(targets);
}
