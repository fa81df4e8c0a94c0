import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { JOB_TYPES, type JobType } from "../job/contract.ts";
import type { JobView } from "../job/summary.ts";
import { encodeFeedCursor, type FeedCursor, isOlder } from "./feed-cursor.ts";
import type { JobReader } from "./job-reader.ts";
import { jobKeys } from "./keys.ts";

/** A job as it is after a change. What lay between two changes that follow closely may be left out. */
export interface JobChange {
  readonly job: JobView;
  /** Where to go on from to miss nothing after this change. */
  readonly cursor: string;
}

export interface FeedListener {
  /** The job whose changes are wanted; null for all of them. */
  readonly jobId: string | null;
  readonly onChange: (change: JobChange) => void;
  /** Changes may have been missed: what is known of jobs must be read again. */
  readonly onGap: () => void;
}

/** The changes of all jobs, read once per process whatever the number of those who listen. */
export interface JobFeed {
  /** Begins to follow, as the first listener would. */
  start(): Promise<void>;
  /** Hears of changes from the moment in which this resolves, until the function that it gives is called. */
  listen(listener: FeedListener): Promise<() => void>;
  /** The place that has been read up to. */
  cursor(): string;
  /** Jobs that changed since a cursor, as they are now; null when the cursor is older than the events kept. */
  since(cursor: FeedCursor, jobId: string | null): Promise<JobView[] | null>;
}

interface Entry {
  /** Its place in the stream of its queue. */
  readonly place: string;
  readonly event: string;
  readonly type: JobType;
  readonly jobId: string;
}

export interface JobFeedOptions {
  readonly prefix: string;
  readonly onError: (error: unknown) => void;
  /** Jobs were put into their queue, by whatever program. */
  readonly onAdded: (type: JobType, jobIds: readonly string[]) => void;
}

const BLOCK_MS = 10_000;
const READ_COUNT = 1000;
const RETRY_MS = 500;

/**
 * Follows BullMQ's event streams, to which our own commits write too, on a connection of its own: one that waits
 * can do nothing else. It is opened when the first listener comes, and closed when `redis` is.
 */
export function createJobFeed(redis: Redis, reader: JobReader, options: JobFeedOptions): JobFeed {
  const streams = JOB_TYPES.map((type) => jobKeys(options.prefix, type, "").events);
  const byJob = new Map<string, Set<FeedListener>>();
  const toAll = new Set<FeedListener>();
  let position: FeedCursor = { transcribe: "0-0", convert: "0-0" };
  let connection: Redis | null = null;
  let opening: Promise<void> | null = null;
  const closing = new AbortController();

  const edges = async (from: "oldest" | "newest") =>
    await Promise.all(
      streams.map(async (stream) => {
        const [edge] =
          from === "oldest"
            ? await redis.xrange(stream, "-", "+", "COUNT", 1)
            : await redis.xrevrange(stream, "+", "-", "COUNT", 1);
        return edge?.[0] ?? "0-0";
      }),
    );
  /** Whether a stream may have dropped entries that come after the place. */
  const isForgotten = async (place: FeedCursor): Promise<boolean> => {
    const oldest = await edges("oldest");
    return JOB_TYPES.some((type, n) => place[type] !== "0-0" && isOlder(place[type], oldest[n] ?? "0-0"));
  };
  const read = async (entry: Entry) => await reader.readOf(entry.type, entry.jobId);
  /** Reads each changed job once, then tells of them in the order of their changes. */
  const tell = async (entries: readonly Entry[]): Promise<void> => {
    const wanted = lastOfEach(entries).filter(({ jobId }) => toAll.size > 0 || byJob.has(jobId));
    const views = await Promise.all(wanted.map(read));
    for (const [n, { place, type, jobId }] of wanted.entries()) {
      position = { ...position, [type]: place };
      const job = views[n] ?? null;
      if (job === null) continue;
      const change = { job, cursor: encodeFeedCursor(position) };
      for (const listener of [...(byJob.get(jobId) ?? []), ...toAll]) listener.onChange(change);
    }
    for (const { type, place } of entries) position = { ...position, [type]: place };
  };
  const tellGap = () => {
    for (const listener of [...toAll, ...[...byJob.values()].flatMap((set) => [...set])]) listener.onGap();
  };
  const readOn = async (waiting: Redis): Promise<void> => {
    const places = JOB_TYPES.map((type) => position[type]);
    const answer =
      (await waiting.xread("COUNT", READ_COUNT, "BLOCK", BLOCK_MS, "STREAMS", ...streams, ...places)) ?? [];
    if (answer.some(([, found]) => found.length === READ_COUNT) && (await isForgotten(position))) tellGap();
    const entries = answer.flatMap(([stream, found]) => {
      const type = JOB_TYPES[streams.indexOf(stream)];
      return type === undefined ? [] : entriesOf(type, found);
    });
    for (const type of JOB_TYPES) {
      const added = entries.filter((entry) => entry.event === "added" && entry.type === type);
      if (added.length > 0)
        options.onAdded(
          type,
          added.map(({ jobId }) => jobId),
        );
    }
    await tell(entries);
  };
  const follow = async (waiting: Redis): Promise<void> => {
    while (!closing.signal.aborted) {
      try {
        await readOn(waiting);
      } catch (error) {
        if (closing.signal.aborted) return;
        options.onError(error);
        await sleep(RETRY_MS);
        tellGap();
      }
    }
  };
  const open = async (): Promise<void> => {
    const [transcribe = "0-0", convert = "0-0"] = await edges("newest");
    position = { transcribe, convert };
    connection = redis.duplicate();
    connection.on("error", options.onError);
    // Those who follow a job hear that Redis is away, and look again when it is back.
    connection.on("close", tellGap);
    connection.on("ready", tellGap);
    // Changes from here on are read from the position, however late the connection is there.
    void follow(connection);
  };
  const start = async (): Promise<void> => {
    opening ??= open().catch((error: unknown) => {
      opening = null;
      throw error;
    });
    await opening;
  };
  const close = (): void => {
    closing.abort();
    connection?.disconnect();
  };
  redis.once("end", close);
  return {
    start,
    cursor: () => encodeFeedCursor(position),
    async listen(listener) {
      await start();
      const { jobId } = listener;
      const listeners = jobId === null ? toAll : (byJob.get(jobId) ?? new Set());
      if (jobId !== null) byJob.set(jobId, listeners);
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
        if (jobId !== null && listeners.size === 0 && byJob.get(jobId) === listeners) byJob.delete(jobId);
      };
    },
    async since(cursor, jobId) {
      if (await isForgotten(cursor)) return null;
      const changed = await Promise.all(
        JOB_TYPES.map(async (type, n) =>
          entriesOf(type, await redis.xrange(streams[n] ?? "", `(${cursor[type]}`, "+")),
        ),
      );
      const wanted = changed.flat().filter((entry) => jobId === null || entry.jobId === jobId);
      return (await Promise.all(lastOfEach(wanted).map(read))).filter((view) => view !== null);
    },
  };
}

/** The last entry of each job, in their order: what came before it is told with it. */
function lastOfEach(entries: readonly Entry[]): Entry[] {
  const last = new Map<string, Entry>();
  for (const entry of entries) {
    const key = `${entry.type}:${entry.jobId}`;
    last.delete(key);
    last.set(key, entry);
  }
  return [...last.values()];
}

function entriesOf(type: JobType, found: readonly [string, string[]][]): Entry[] {
  return found.map(([place, fields]) => {
    const valueOf = (name: string) => {
      const at = fields.findIndex((field, n) => n % 2 === 0 && field === name);
      return at === -1 ? "" : (fields[at + 1] ?? "");
    };
    return { place, type, event: valueOf("event"), jobId: valueOf("jobId") };
  });
}
