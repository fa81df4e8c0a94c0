import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { JOB_TYPES, type JobType, type RequestOptions } from "../job/contract.ts";
import { MirumojiError } from "../job/errors.ts";
import { parseRequest } from "../job/parse-request.ts";
import { planOutputs } from "../job/paths.ts";
import { isFinal, type JobView } from "../job/summary.ts";
import type { Tracing } from "../telemetry/trace-contract.ts";
import { NO_TRACING } from "../telemetry/tracing.ts";
import { requestCancel } from "./cancellation.ts";
import { jobKeys } from "./keys.ts";
import { viewOf } from "./job-view.ts";
import type { Queues } from "./queues.ts";
import { runScript } from "./scripts.ts";
import { addJob } from "./submit.ts";
import { findCarrier } from "./trace-carrier.ts";

/** The jobs in Redis, as producers and operators see them. */
export interface JobStore {
  /**
   * Puts a job into its queue. With an `idempotencyKey` the same request gives the same job, as long as that
   * one is kept (completed jobs 7 days, failed ones 30).
   *
   * @throws MirumojiError the same codes as `parseRequest`, and `IDEMPOTENCY_CONFLICT` when the key belongs to
   * another request; nothing is queued then
   */
  submit<T extends JobType>(
    type: T,
    options: RequestOptions[T],
    extra?: { idempotencyKey?: string },
  ): Promise<{ id: string; type: T }>;
  /** @throws MirumojiError `JOB_NOT_FOUND` */
  get(id: string): Promise<JobView>;
  /** The newest jobs of both types, newest first. */
  list(options: { limit: number }): Promise<JobView[]>;
  /**
   * Waits for the end of a job, looking every `pollMs`.
   *
   * @throws MirumojiError `JOB_NOT_FOUND`; the reason of `signal` when it aborts
   */
  wait(
    id: string,
    options?: { pollMs?: number; signal?: AbortSignal; onChange?: (job: JobView) => void },
  ): Promise<JobView>;
  /**
   * Asks for a job to stop, from any process. It ends as `cancelled`: at once when nobody worked on it yet,
   * else as soon as its call is stopped and its volume deleted. Cancelling twice, or a finished job, is
   * harmless: `accepted` is false only when the job was over already.
   *
   * @throws MirumojiError `JOB_NOT_FOUND`
   */
  cancel(id: string): Promise<{ id: string; accepted: boolean }>;
  /**
   * Gives a failed or cancelled job another life, from its checkpoint where there is one, else from the start.
   *
   * @throws MirumojiError `JOB_NOT_FOUND`, `JOB_NOT_RETRYABLE`
   */
  retry(id: string): Promise<void>;
}

const DEFAULT_POLL_MS = 500;
const EVERY_STATE = ["active", "wait", "delayed", "prioritized", "completed", "failed"] as const;

export function createJobStore(
  redis: Redis,
  queues: Queues,
  prefix: string,
  tracing: Tracing = NO_TRACING,
): JobStore {
  const ask = async <T>(
    what: "cancel" | "retry",
    type: JobType,
    id: string,
    act: (answered: (answer: string) => void) => Promise<T>,
  ) => {
    const find = async () => await findCarrier(redis, queues[type], { prefix, jobId: id });
    return await tracing.traceCommand(what, { queue: type, jobId: id }, find, act);
  };
  const find = async (id: string): Promise<JobView | null> => {
    const found = await Promise.all(
      JOB_TYPES.map(async (type) => {
        // The state first: what is read of the job after it is at least as new.
        const state = await queues[type].getJobState(id);
        const job = await queues[type].getJob(id);
        return job === undefined ? null : viewOf(job, state);
      }),
    );
    return found.find((view) => view !== null) ?? null;
  };
  const get = async (id: string): Promise<JobView> => {
    const view = await find(id);
    if (view === null) throw notFound(id);
    return view;
  };
  return {
    get,
    async submit(type, options, { idempotencyKey } = {}) {
      const request = parseRequest(type, { v: 1, ...options });
      planOutputs(request);
      return { id: await addJob(queues, request, { idempotencyKey, tracing }), type };
    },
    async list({ limit }) {
      const views = await Promise.all(
        JOB_TYPES.flatMap((type) =>
          EVERY_STATE.map(async (state) => {
            const jobs = await queues[type].getJobs([state], 0, limit - 1);
            // A job may vanish between the two reads.
            return jobs
              .filter((job) => job !== undefined)
              .map((job) => viewOf(job, state === "wait" ? "waiting" : state));
          }),
        ),
      );
      return views
        .flat()
        .toSorted((a, b) => b.submittedAt - a.submittedAt)
        .slice(0, limit);
    },
    async wait(id, { pollMs = DEFAULT_POLL_MS, signal, onChange } = {}) {
      for (;;) {
        signal?.throwIfAborted();
        const view = await get(id);
        onChange?.(view);
        if (isFinal(view.status)) return view;
        await sleep(pollMs, undefined, signal === undefined ? {} : { signal });
      }
    },
    async cancel(id) {
      for (const type of JOB_TYPES) {
        const answer = await ask("cancel", type, id, async (answered) => {
          const given = await requestCancel(redis, queues[type], { prefix, jobId: id, now: Date.now() });
          answered(given);
          return given;
        });
        if (answer !== "missing") return { id, accepted: answer !== "finished" };
      }
      throw notFound(id);
    },
    async retry(id) {
      for (const type of JOB_TYPES) {
        const keys = jobKeys(prefix, type, id);
        const answer = await runScript(redis, "retry", {
          keys: { ...keys, failed: queues[type].toKey("failed") },
          args: { jobId: id },
        });
        if (answer === "missing") continue;
        if (answer === "wrong") {
          throw new MirumojiError(
            "JOB_NOT_RETRYABLE",
            `job ${id} did not fail; only failed and cancelled jobs are retried`,
          );
        }
        await ask("retry", type, id, async () => {
          const job = await queues[type].getJob(id);
          await job?.retry("failed");
        });
        return;
      }
      throw notFound(id);
    },
  };
}

function notFound(id: string): MirumojiError {
  return new MirumojiError(
    "JOB_NOT_FOUND",
    `there is no job ${JSON.stringify(id)}; \`list\` shows the ones there are`,
  );
}
