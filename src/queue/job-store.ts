import type { Redis } from "ioredis";
import { JOB_TYPES, type JobType, type RequestOptions } from "../job/contract.ts";
import { MirumojiError } from "../job/errors.ts";
import { parseRequest } from "../job/parse-request.ts";
import { planOutputs } from "../job/paths.ts";
import { isFinal, type JobView } from "../job/summary.ts";
import type { Tracing } from "../telemetry/trace-contract.ts";
import { NO_TRACING } from "../telemetry/tracing.ts";
import { requestCancel } from "./cancellation.ts";
import { type JobSource, type WaitOptions, waitForJob, watchJob, type WatchOptions } from "./follow-jobs.ts";
import { type JobFilter, type JobPage, type JobQuery, listJobs } from "./job-list.ts";
import { type JobParts, openJobParts } from "./job-parts.ts";
import { jobKeys } from "./keys.ts";
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
  ): Promise<Submitted<T>>;
  /** @throws MirumojiError `JOB_NOT_FOUND` */
  get(id: string): Promise<JobView>;
  /** The newest jobs that match, newest first. */
  list(options: JobFilter & { readonly limit: number }): Promise<JobView[]>;
  /**
   * A page of them; go on with `nextCursor` until it is null.
   *
   * @throws MirumojiError `REQUEST_INVALID` when the cursor is none
   */
  listPage(query: JobQuery): Promise<JobPage>;
  /**
   * Waits for the end of a job. Any number of waits shares one connection.
   *
   * @throws MirumojiError `JOB_NOT_FOUND`, `WAIT_TIMED_OUT`; the reason of `signal` when it aborts
   */
  wait(id: string, options?: WaitOptions): Promise<JobView>;
  /**
   * The job as it is, then as it is after each change, until its end: `for await (const job of client.watch(id))`.
   *
   * @throws MirumojiError `JOB_NOT_FOUND`; the reason of `signal` when it aborts
   */
  watch(id: string, options?: WatchOptions): AsyncIterable<JobView>;
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
  /**
   * Forgets a job that is over. Its outputs stay where they are.
   *
   * @throws MirumojiError `JOB_NOT_FOUND`, `JOB_NOT_FINISHED`
   */
  delete(id: string): Promise<void>;
}

/** A job that is in its queue. */
export interface Submitted<T extends JobType = JobType> {
  readonly id: string;
  readonly type: T;
  /** False when the job of this idempotency key was there already. */
  readonly created: boolean;
}

export function createJobStore(
  redis: Redis,
  queues: Queues,
  prefix: string,
  tracing: Tracing = NO_TRACING,
  parts: JobParts = openJobParts(redis, queues, { prefix, onError: () => undefined }),
): JobStore {
  const { reader, index, feed } = parts;
  const ask = async <T>(
    what: "cancel" | "retry",
    type: JobType,
    id: string,
    act: (answered: (answer: string) => void) => Promise<T>,
  ) => {
    const find = async () => await findCarrier(redis, queues[type], { prefix, jobId: id });
    return await tracing.traceCommand(what, { queue: type, jobId: id }, find, act);
  };
  const get = async (id: string): Promise<JobView> => {
    const view = await reader.read(id);
    if (view === null) throw notFound(id);
    return view;
  };
  const source: JobSource = { get, listen: async (listener) => await feed.listen(listener) };
  return {
    get,
    async submit(type, options, { idempotencyKey } = {}) {
      const request = parseRequest(type, { v: 1, ...options });
      planOutputs(request);
      return { ...(await addJob({ redis, prefix, queues, index, tracing }, request, idempotencyKey)), type };
    },
    async list({ limit, ...filter }) {
      const jobs: JobView[] = [];
      for (let cursor: string | null | undefined = undefined; cursor !== null && jobs.length < limit;) {
        const page: JobPage = await listJobs(parts, { ...filter, limit: limit - jobs.length, cursor });
        jobs.push(...page.jobs);
        cursor = page.nextCursor;
      }
      return jobs;
    },
    listPage: async (query) => await listJobs(parts, query),
    wait: async (id, options = {}) => await waitForJob(source, id, options),
    watch: (id, options = {}) => watchJob(source, id, options),
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
    async delete(id) {
      for (const type of JOB_TYPES) {
        const view = await reader.readOf(type, id);
        if (view === null) continue;
        if (!isFinal(view.status)) {
          throw new MirumojiError("JOB_NOT_FINISHED", `job ${id} is ${view.status}; cancel it first`);
        }
        await queues[type].remove(id);
        await index.forget({ type, id }, view);
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
