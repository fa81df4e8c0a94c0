import { ErrorCode } from "bullmq";
import type { Redis } from "ioredis";
import { JOB_TYPES, type JobType } from "../job/contract.ts";
import { MirumojiError } from "../job/errors.ts";
import { parseRequest } from "../job/parse-request.ts";
import { planOutputs } from "../job/paths.ts";
import { isFinal, type JobView } from "../job/summary.ts";
import type { Tracing } from "../telemetry/trace-contract.ts";
import { NO_TRACING } from "../telemetry/tracing.ts";
import { requestCancel } from "./cancellation.ts";
import type { JobPage, Jobs } from "../client/contract.ts";
import { type JobSource, waitForJob, watchJob } from "../client/follow-jobs.ts";
import { forgetTranscript } from "./kept-transcripts.ts";
import { listJobs } from "./job-list.ts";
import { type JobParts, openJobParts } from "./job-parts.ts";
import { jobKeys, onceKey } from "./keys.ts";
import type { Queues } from "./queues.ts";
import { runScript } from "./scripts.ts";
import { addJob, readEnded } from "./submit.ts";
import { findCarrier } from "./trace-carrier.ts";

export function createRedisJobs(
  redis: Redis,
  queues: Queues,
  prefix: string,
  tracing: Tracing = NO_TRACING,
  parts: JobParts = openJobParts(redis, queues, { prefix, onError: () => undefined }),
): Jobs {
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
    const view = (await reader.read(id)) ?? (await readEnded(redis, prefix, id));
    if (view === null) throw notFound(id);
    return view;
  };
  const source: JobSource = { get, listen: async (listener) => await feed.listen(listener) };
  return {
    get,
    async submit(type, options, extra = {}) {
      const given = { v: 1, ...options };
      const request = parseRequest(type, given);
      planOutputs(request);
      const where = { redis, prefix, queues, index, tracing };
      return { ...(await addJob(where, { request, given, ...extra })), type };
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
          const given = await requestCancel(redis, queues[type], { prefix, jobId: id });
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
          args: { prefix, jobId: id },
        });
        if (answer === "missing") continue;
        if (answer === "wrong") throw notRetryable(id);
        await ask("retry", type, id, async () => {
          const job = await queues[type].getJob(id);
          await job?.retry("failed").catch((error: unknown) => {
            // Somebody else retried or removed it between the two steps.
            throw isGoneFromState(error) ? notRetryable(id, error) : error;
          });
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
        await redis.del(onceKey(prefix, id));
        await forgetTranscript(redis, prefix, id);
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

function notRetryable(id: string, cause?: unknown): MirumojiError {
  return new MirumojiError(
    "JOB_NOT_RETRYABLE",
    `job ${id} did not fail; only failed and cancelled jobs are retried`,
    { cause },
  );
}

/** Whether BullMQ found that a job is gone, or not in the state that it was asked to leave. */
function isGoneFromState(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return code === ErrorCode.JobNotExist || code === ErrorCode.JobNotInState;
}
