import { JOB_TYPES, type JobType } from "../job/contract.ts";

/** A place in the history of changes: the last entry that was read of the event stream of each queue. */
export type FeedCursor = Readonly<Record<JobType, string>>;

const ENTRY = /^\d{1,16}-\d{1,16}$/u;

/** As it goes over the wire: the entries in the order of the job types, with a comma. */
export function encodeFeedCursor(cursor: FeedCursor): string {
  return JOB_TYPES.map((type) => cursor[type]).join(",");
}

/** Null when it is not one of ours. */
export function decodeFeedCursor(text: string): FeedCursor | null {
  const [transcribe = "", convert = "", ...rest] = text.split(",");
  if (rest.length > 0 || !ENTRY.test(transcribe) || !ENTRY.test(convert)) return null;
  return { transcribe, convert };
}

/** Whether the stream entry `one` is older than `other`. */
export function isOlder(one: string, other: string): boolean {
  const [oneMs = "", oneCount = ""] = one.split("-");
  const [otherMs = "", otherCount = ""] = other.split("-");
  if (oneMs !== otherMs) return Number(oneMs) < Number(otherMs);
  return Number(oneCount) < Number(otherCount);
}
