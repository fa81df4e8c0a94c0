import { toMirumojiError } from "../job/errors.ts";
import type { OutputFile } from "../job/facts.ts";
import type { JobView } from "../job/summary.ts";
import type { BatchView } from "../job/batch.ts";
import { type BatchJobs, followBatches } from "./batches.ts";
import type { JobPage, Jobs, TranscriptReader } from "./contract.ts";
import { type JobSource, waitForJob, watchJob } from "./follow-jobs.ts";
import { askApi, type HttpTarget } from "./http-exchange.ts";
import { createHttpFeed } from "./http-feed.ts";

/** A client that speaks HTTP; beside what every client can do, it reads what jobs made. */
export interface HttpJobs extends Jobs, TranscriptReader {
  /**
   * A file that a job made, by its place in `outputs`. `range`: bytes from and to, both included.
   *
   * @throws MirumojiError `JOB_NOT_FOUND`, `OUTPUT_NOT_FOUND`, `RANGE_UNSATISFIABLE`
   */
  readOutput(id: string, index: number, options?: { range?: [number, number] }): Promise<Response>;
}

/** How often a job is looked at over HTTP in case its changes are not heard of. */
const POLL_MS = 60_000;

export function createHttpJobs(target: HttpTarget): {
  jobs: HttpJobs;
  batches: BatchJobs;
  close: () => void;
} {
  const feed = createHttpFeed(target);
  const ask = async <T>(path: string, options: Parameters<typeof askApi>[2] = {}): Promise<T> =>
    (await (await askApi(target, path, options)).json()) as T;
  const pathOf = (id: string, rest = "") => `/jobs/${encodeURIComponent(id)}${rest}`;
  const get = async (id: string) => await ask<JobView>(pathOf(id));
  const source: JobSource = { get, listen: async (listener) => await feed.listen(listener) };
  const listPage: Jobs["listPage"] = async (query) => await ask<JobPage>(`/jobs?${queryOf(query)}`);
  const jobs: HttpJobs = {
    get,
    listPage,
    async submit(type, request, { idempotencyKey } = {}) {
      const response = await askApi(target, "/jobs", {
        method: "POST",
        body: { type, request },
        headers: idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey },
      });
      const { id } = (await response.json()) as JobView;
      return { id, type, created: response.status === 201 };
    },
    async list({ limit, ...filter }) {
      const found: JobView[] = [];
      let cursor: string | null | undefined;
      while (cursor !== null && found.length < limit) {
        const page: JobPage = await listPage({
          ...filter,
          limit: Math.min(limit - found.length, 500),
          cursor,
        });
        found.push(...page.jobs);
        cursor = page.nextCursor;
      }
      return found;
    },
    wait: async (id, options = {}) => await waitForJob(source, id, { pollMs: POLL_MS, ...options }),
    watch: (id, options = {}) => watchJob(source, id, { pollMs: POLL_MS, ...options }),
    cancel: async (id) => await ask(pathOf(id, "/cancel"), { method: "POST" }),
    async retry(id) {
      await askApi(target, pathOf(id, "/retry"), { method: "POST" });
    },
    async delete(id) {
      await askApi(target, pathOf(id), { method: "DELETE" });
    },
    readOutput: async (id, index, { range } = {}) =>
      await askApi(target, pathOf(id, `/outputs/${index}`), {
        headers: range === undefined ? {} : { range: `bytes=${range[0]}-${range[1]}` },
      }),
    async readTranscript(id, format = "srt", layout = {}) {
      const response = await askApi(target, pathOf(id, `/transcript?${queryOf({ format, ...layout })}`));
      return await response.text().catch((error: unknown) => {
        throw toMirumojiError(error);
      });
    },
    async reformat(id, options) {
      const response = await askApi(target, pathOf(id, "/reformat"), { method: "POST", body: options });
      return ((await response.json()) as { outputs: OutputFile[] }).outputs;
    },
  };
  return { jobs, batches: httpBatches(target), close: () => feed.close() };
}

function httpBatches(target: HttpTarget): BatchJobs {
  const pathOf = (id: string, rest = "") => `/batches/${encodeURIComponent(id)}${rest}`;
  const get = async (id: string) => (await (await askApi(target, pathOf(id))).json()) as BatchView;
  const change = async (id: string, act: string) => {
    const response = await askApi(target, pathOf(id, act), { method: "POST" });
    return ((await response.json()) as { jobs: number }).jobs;
  };
  return {
    get,
    ...followBatches(get),
    async submit(body, { idempotencyKey } = {}) {
      const response = await askApi(target, "/batches", {
        method: "POST",
        body,
        headers: idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey },
      });
      const { id } = (await response.json()) as BatchView;
      return { id, created: response.status === 201 };
    },
    cancel: async (id) => await change(id, "/cancel"),
    retry: async (id) => await change(id, "/retry"),
  };
}

type QueryValue = string | number | boolean | readonly string[] | null | undefined;

/** A null says that the default is wanted, as leaving it out does. */
function queryOf(query: object): string {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(query) as [string, QueryValue][]) {
    for (const one of [value ?? []].flat()) pairs.append(name, String(one));
  }
  return pairs.toString();
}
