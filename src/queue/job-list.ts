import { MirumojiError } from "../job/errors.ts";
import type { JobFilter, JobPage, JobQuery } from "../client/contract.ts";
import type { JobView } from "../job/summary.ts";
import type { IndexedJob, IndexName, JobIndex } from "./job-index.ts";
import type { JobReader } from "./job-reader.ts";

/** Entries that one page may look at: what is rare among very many jobs takes several pages. */
const LOOKED_AT = 5000;
const CHUNK = 250;
/** Of every list and set; what was queued by other programs is found here before the API has seen it. */
const NEWEST_TAKEN_UP = 200;

/**
 * One page of the jobs that match, newest first.
 *
 * @throws MirumojiError `REQUEST_INVALID` when the cursor is not one of ours
 */
export async function listJobs(
  { index, reader }: { index: JobIndex; reader: JobReader },
  { limit, cursor, ...filter }: JobQuery,
): Promise<JobPage> {
  let after = cursor === undefined ? null : decodeCursor(cursor);
  if (after === null) await index.takeUpNewest(NEWEST_TAKEN_UP);
  const name = narrowest(filter);
  const jobs: JobView[] = [];
  for (let lookedAt = 0; lookedAt < LOOKED_AT; lookedAt += CHUNK) {
    const entries = await index.read(name, { after, before: filter.before ?? null, count: CHUNK });
    if (entries.length === 0) return { jobs, nextCursor: null };
    const views = await Promise.all(entries.map(async ({ type, id }) => await reader.readOf(type, id)));
    await index.remove(
      name,
      entries.filter((_entry, place) => views[place] === null),
    );
    for (const [place, entry] of entries.entries()) {
      if (filter.since !== undefined && entry.submittedAt < filter.since) return { jobs, nextCursor: null };
      const view = views[place] ?? null;
      after = entry;
      if (view === null || !matches(view, filter)) continue;
      jobs.push(view);
      if (jobs.length === limit) return { jobs, nextCursor: encodeCursor(entry) };
    }
  }
  return { jobs, nextCursor: after === null ? null : encodeCursor(after) };
}

/** Whether a job is one of those that are wanted. */
export function matches(job: JobView, filter: JobFilter): boolean {
  const { type, status, tenant, tag, since, before } = filter;
  if (type !== undefined && job.type !== type) return false;
  if (status !== undefined && !status.includes(job.status)) return false;
  if (tenant !== undefined && job.tenant !== tenant) return false;
  if (tag !== undefined && !job.tags.includes(tag)) return false;
  if (since !== undefined && job.submittedAt < since) return false;
  if (before !== undefined && job.submittedAt >= before) return false;
  return filter.search === undefined || isNamed(job, filter.search);
}

function isNamed({ id, input, outputs }: JobView, search: string): boolean {
  const wanted = search.toLowerCase();
  return [id, input ?? "", ...outputs.map(({ path }) => path)].some((name) =>
    name.toLowerCase().includes(wanted),
  );
}

function narrowest({ tenant, tag }: JobFilter): IndexName {
  if (tag !== undefined) return { tag };
  return tenant === undefined ? "all" : { tenant };
}

/** Form of a cursor; every text of this form is a place in the list. */
export const LIST_CURSOR = /^(\d{1,15}):(transcribe|convert):(.{1,256})$/;

function encodeCursor({ submittedAt, type, id }: IndexedJob): string {
  return `${submittedAt}:${type}:${id}`;
}

function decodeCursor(cursor: string): IndexedJob {
  const [, submittedAt, type, id] = LIST_CURSOR.exec(cursor) ?? [];
  if (id === undefined) {
    throw new MirumojiError(
      "REQUEST_INVALID",
      "cursor: is not one of ours; take `nextCursor` of a page before",
    );
  }
  return { submittedAt: Number(submittedAt), type: type === "convert" ? type : "transcribe", id };
}
