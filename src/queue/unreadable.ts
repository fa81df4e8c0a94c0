/** Records that other programs, or other versions of this one, may have written. */
export type RecordKind = "cancel" | "ledger" | "checkpoint" | "ended" | "job";

/** Told of a record that cannot be read, with its name (a volume, a job) where it has one. */
export type TellUnreadable = (record: RecordKind, name: string) => void;

/** A message that is longer is not ours, and not worth parsing. */
const MOST_CHARS = 100_000;

/** Gives undefined for what is not JSON, or longer than any record of ours. Never throws. */
export function readJson(text: string): unknown {
  if (text.length > MOST_CHARS) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
