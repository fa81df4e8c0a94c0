import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { JOB_TYPES, type JobType, type RequestOptions } from "../job/contract.ts";
import { MirumojiError } from "../job/errors.ts";
import { parseRequest } from "../job/parse-request.ts";
import { planOutputs } from "../job/paths.ts";
import { isFinal, type JobView } from "../job/summary.ts";
import { viewOf } from "./job-view.ts";
import type { Queues } from "./queues.ts";

/** The jobs in Redis, as producers and operators see them. */
export interface JobStore {
  /**
   * Puts a job into its queue.
   *
   * @throws MirumojiError the same codes as `parseRequest`; nothing is queued then
   */
  submit<T extends JobType>(type: T, options: RequestOptions[T]): Promise<{ id: string; type: T }>;
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
}

const DEFAULT_POLL_MS = 500;
const EVERY_STATE = ["active", "wait", "delayed", "prioritized", "completed", "failed"] as const;

export function createJobStore(queues: Queues): JobStore {
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
    if (view !== null) return view;
    throw new MirumojiError(
      "JOB_NOT_FOUND",
      `there is no job ${JSON.stringify(id)}; \`list\` shows the ones there are`,
    );
  };
  return {
    get,
    async submit(type, options) {
      const request = parseRequest(type, { v: 1, ...options });
      planOutputs(request);
      const id = randomUUID();
      await queues[type].add(type, request.request, { jobId: id });
      return { id, type };
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
  };
}
