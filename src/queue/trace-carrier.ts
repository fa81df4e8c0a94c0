import type { Job, Queue } from "bullmq";
import type { Redis } from "ioredis";
import type { TraceCarrier } from "../telemetry/trace-contract.ts";
import { jobKeys } from "./keys.ts";

/** Where a worker writes the trace of a job that came without one; producers write BullMQ's `opts.telemetry`. */
const FIELD = "mirumojiTrace";

/** Carrier that the producer sent along. */
export function carrierOf(job: Job): TraceCarrier | null {
  return job.opts.telemetry?.metadata ?? null;
}

/** Stores a carrier unless the job has one; returns the one that is stored. */
export async function adoptCarrier(
  redis: Redis,
  jobKey: string,
  carrier: TraceCarrier,
): Promise<TraceCarrier> {
  const [, kept] = await Promise.all([redis.hsetnx(jobKey, FIELD, carrier), redis.hget(jobKey, FIELD)]);
  return kept ?? carrier;
}

/** The carrier of a job in a queue, written by its producer or by a worker. */
export async function findCarrier(
  redis: Redis,
  queue: Queue,
  { prefix, jobId }: { readonly prefix: string; readonly jobId: string },
): Promise<TraceCarrier | null> {
  const job = await queue.getJob(jobId);
  if (job === undefined) return null;
  return carrierOf(job) ?? (await redis.hget(jobKeys(prefix, queue.name, jobId).job, FIELD));
}
