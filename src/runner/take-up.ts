import { decodeCheckpoint, firstCheckpoint } from "../job/checkpoint.ts";
import { MirumojiError } from "../job/errors.ts";
import type { JobIdentity } from "../job/events.ts";
import { parseRequest } from "../job/parse-request.ts";
import { QUEUED_SUMMARY } from "../job/summary.ts";
import type { Delivery, DeliveryResult } from "../queue/consumer.ts";
import { LiveJob } from "./live-job.ts";
import { logLine } from "./log-line.ts";
import type { RunnerTools } from "./runner-tools.ts";

/** What the first worker of a job would find; not asked for. */
const NOTHING_STORED = { record: null, cancelRequested: false };

/**
 * Reads what was delivered and what is stored of it.
 *
 * @throws MirumojiError what `parseRequest` throws, `CHECKPOINT_CORRUPT`
 */
export async function takeUp(
  delivery: Delivery,
  identity: JobIdentity,
  tools: RunnerTools,
): Promise<LiveJob> {
  const { emit, now } = tools;
  if (delivery.name !== delivery.queue) {
    throw new MirumojiError(
      "JOB_TYPE_UNKNOWN",
      `a job named ${JSON.stringify(delivery.name)} is in the queue ${delivery.queue}; name it like its queue`,
    );
  }
  const request = parseRequest(delivery.name, delivery.data);
  const { record: stored, cancelRequested } = delivery.isFirst ? NOTHING_STORED : await delivery.lease.load();
  if (cancelRequested) delivery.cancelled.abort(new MirumojiError("CANCELLED", "cancelled on request"));
  const checkpoint = stored === null ? firstCheckpoint(now(), delivery.crashes) : decodeCheckpoint(stored);
  emit("job.started", {
    ...identity,
    waitedMs: Math.max(0, now() - delivery.submittedAt),
    resumedAt: stored === null ? null : checkpoint.state,
  });
  return new LiveJob({
    identity,
    request,
    checkpoint,
    lease: delivery.lease,
    queue: delivery.queue,
    now,
    emit,
    onCancel: () => delivery.cancelled.abort(new MirumojiError("CANCELLED", "cancelled on request")),
  });
}

/** Ends a job that cannot even be read. It has done nothing, so there is nothing to undo. */
export function refuse(
  delivery: Delivery,
  identity: JobIdentity,
  error: MirumojiError,
  { emit, now }: RunnerTools,
): DeliveryResult {
  const { code, message } = error;
  emit("job.finished", { ...identity, status: "failed", ms: 0, code, message, report: null });
  return {
    kind: "failed",
    code,
    message,
    settle: async () => {
      await delivery.lease.settle({
        volumeId: null,
        summary: { ...QUEUED_SUMMARY, state: "failed", status: "failed", error: { code, message } },
        log: logLine(now(), `failed: ${code}: ${message}`),
      });
    },
  };
}
