import type { Redis } from "ioredis";
import { createJobFeed, type JobFeed } from "./job-feed.ts";
import { createJobIndex, type JobIndex } from "./job-index.ts";
import { createJobReader, type JobReader } from "./job-reader.ts";
import type { Queues } from "./queues.ts";

/** Parts that everything which shows jobs is built from. */
export interface JobParts {
  readonly reader: JobReader;
  readonly index: JobIndex;
  readonly feed: JobFeed;
}

/** All of it closes with `redis`. */
export function openJobParts(
  redis: Redis,
  queues: Queues,
  { prefix, onError }: { readonly prefix: string; readonly onError: (error: unknown) => void },
): JobParts {
  const reader = createJobReader(redis, queues, prefix);
  const index = createJobIndex(redis, queues, prefix);
  const feed = createJobFeed(redis, reader, {
    prefix,
    onError,
    onAdded: (type, jobIds) => {
      index.takeUp(type, jobIds).catch(onError);
    },
  });
  return { reader, index, feed };
}
