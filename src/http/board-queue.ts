import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import type { JobStatus, QueueJobJson } from "@bull-board/api/typings/app";
import { z } from "zod";
import { type JobType, REQUEST_SCHEMAS, type RequestOptions } from "../job/contract.ts";
import { withShownPlaces } from "../job/places.ts";
import { summarySchema } from "../job/summary.ts";
import type { Jobs } from "../client/contract.ts";
import type { Queues } from "../queue/queues.ts";
import { redactValue } from "../telemetry/redact.ts";
import { jobPagePath } from "./job-pages.ts";
import { jobTitle, percentDone } from "./job-words.ts";

const DESCRIPTIONS: Record<JobType, string> = {
  transcribe: "Subtitles and text from speech",
  convert: "H.264 and AAC in MP4",
};

/** BullMQ's job; only `queue/` names that package. */
type BoardJob = NonNullable<Awaited<ReturnType<BullMQAdapter["getJob"]>>>;

interface BoardQueueOptions {
  readonly jobs: Jobs;
  readonly isWritable: boolean;
  readonly redact: (text: string) => string;
}

/**
 * Adapter that shows a queue to Bull Board: readable, without secrets, and with every change going through
 * the job store as on the command line.
 */
export class BoardQueue extends BullMQAdapter {
  override readonly allowCompletedRetries = false;
  readonly #type: JobType;
  readonly #jobs: Jobs;
  readonly #redact: (text: string) => string;

  constructor(queue: Queues[JobType], type: JobType, { jobs, isWritable, redact }: BoardQueueOptions) {
    super(queue, {
      readOnlyMode: !isWritable,
      description: DESCRIPTIONS[type],
      externalJobUrl: ({ id }) => ({ displayText: "Job page", href: jobPagePath(String(id)) }),
      jobDataSchema: z.toJSONSchema(REQUEST_SCHEMAS[type], { io: "input" }),
    });
    this.#type = type;
    this.#jobs = jobs;
    this.#redact = redact;
    this.setFormatter("name", (job: QueueJobJson) => redact(jobTitle(job)));
    this.setFormatter("progress", (progress: unknown) => redactValue(progressByState(progress), redact));
    this.setFormatter("data", (data: unknown) => redactValue(withShownPlaces(data), redact));
    this.setFormatter("returnValue", (value: unknown) => redactValue(value, redact));
  }

  override async getJob(id: string): Promise<BoardJob | undefined> {
    const job = await super.getJob(id);
    return job === undefined ? undefined : this.#dressed(job);
  }

  override async getJobs(statuses: JobStatus[], start?: number, end?: number): Promise<BoardJob[]> {
    const jobs = await super.getJobs(statuses, start, end);
    return jobs.map((job) => this.#dressed(job));
  }

  override async getJobLogs(id: string): Promise<string[]> {
    return (await super.getJobLogs(id)).map((line) => this.#redact(line));
  }

  /** Jobs added here are checked like those of any other producer. */
  override async addJob(_name: string, data: unknown): Promise<BoardJob> {
    const { id } = await this.#jobs.submit(this.#type, data as RequestOptions[JobType]);
    const job = await super.getJob(id);
    if (job === undefined) throw new Error(`job ${id} is gone already`);
    return job;
  }

  #dressed(job: BoardJob): BoardJob {
    const plain = job.toJSON.bind(job);
    const id = String(plain().id);
    job.toJSON = () => {
      const json = plain();
      const failedReason = this.#redact(json.failedReason ?? "");
      return {
        ...json,
        failedReason,
        // Stack frames inside BullMQ say nothing about the job.
        stacktrace: failedReason === "" ? [] : [failedReason],
        // A job cancelled in the queue never started; without a start time the board shows 1970.
        ...(json.processedOn === undefined && json.finishedOn !== undefined
          ? { processedOn: json.finishedOn }
          : {}),
      };
    };
    job.retry = async () => await this.#jobs.retry(id);
    return job;
  }
}

/** Percentage for the ring, and the time each state took. */
function progressByState(progress: unknown): unknown {
  const { data: summary } = summarySchema.safeParse(progress);
  if (summary === undefined) return progress;
  const states = summary.states.map(({ state, ms, attempts }) => [
    state,
    `${(ms / 1000).toFixed(1)} s${attempts > 1 ? `, ${attempts} tries` : ""}`,
  ]);
  return {
    progress: percentDone(summary),
    state: summary.state,
    states: Object.fromEntries(states) as Record<string, string>,
    ...(summary.step === undefined ? {} : { step: summary.step }),
    ...(summary.outputs.length === 0 ? {} : { outputs: summary.outputs.map(({ path }) => path) }),
    ...(summary.report === undefined ? {} : { report: summary.report }),
    ...(summary.error === null ? {} : { error: summary.error }),
  };
}
