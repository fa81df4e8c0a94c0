import { MirumojiError } from "../job/errors.ts";
import type { JobIdentity } from "../job/events.ts";
import { fullJitterMs, PATH } from "../job/machine.ts";
import { newerRequest } from "../job/parse-request.ts";
import { QUEUED_SUMMARY } from "../job/summary.ts";
import type { Delivery, DeliveryResult } from "../queue/delivery.ts";
import type { RunnerTools } from "./job-run.ts";

/** Pause until some worker looks at the job again. */
const PAUSE_MS = 30_000;
/** A field that no worker of a rollout knew within this time is a mistake of the producer's. */
const UNKNOWN_FIELD_MS = 600_000;

/**
 * Gives what a newer worker is needed for, when that is why a job could not be read: its version, or for a while its
 * fields. Null when the job itself is wrong.
 */
export function newerNeed(
  { name, data, submittedAt }: Delivery,
  error: MirumojiError,
  { now, queueWaitMs }: RunnerTools,
): MirumojiError | null {
  if (error.code === "NEEDS_NEWER_WORKER") return error;
  const need = newerRequest(name, data);
  if (need === null) return null;
  const limitMs = need.isVersion ? queueWaitMs : Math.min(UNKNOWN_FIELD_MS, queueWaitMs);
  return now() - submittedAt < limitMs ? new MirumojiError("NEEDS_NEWER_WORKER", need.words) : null;
}

/** Leaves a job to a newer worker: it goes back with a pause, and whoever looks at it sees the reason. */
export async function leaveToNewer(
  { lease }: Delivery,
  identity: JobIdentity,
  { code, message }: MirumojiError,
  { emit, random }: RunnerTools,
): Promise<DeliveryResult | "cancelled"> {
  const { record, cancelRequested } = await lease.load();
  // With a checkpoint there may be something to undo, which only a newer worker can.
  if (cancelRequested && record === null) return "cancelled";
  const written = await lease.commit({ summary: { ...QUEUED_SUMMARY, error: { code, message } } });
  if (written === "refused") return { kind: "fenced" };
  const delayMs = PAUSE_MS / 2 + fullJitterMs(PAUSE_MS / 2, random());
  emit("job.delayed", { ...identity, state: PATH[0], attempt: 1, delayMs, code });
  return { kind: "delayed", delayMs, heedsCancel: false };
}
