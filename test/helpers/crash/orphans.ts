import type { Stats } from "../../../support/dev.ts";
import type { WorkerProcess } from "../../../support/stack.ts";
import { eventsOf } from "./worker-log.ts";

/** A request sent before its sender died is still served. */
const ON_ITS_WAY_MS = 5000;

/** Volume unknown to everyone: its worker died between the server's making it and our recording it. */
export interface Orphan {
  readonly volumeId: string;
  /** The job it was made for. */
  readonly jobId: string;
}

/** Classification of the volumes that live on the server. */
export interface Account {
  /** Volumes recorded by a worker. */
  readonly known: readonly string[];
  /**
   * Surely orphaned by a SIGKILL: nobody wrote them down, and each fits a job of its own that a killed worker had
   * in hand, still without a volume, when the server made this one. There can never be more of them than jobs
   * that were hit in that moment.
   */
  readonly orphans: readonly Orphan[];
  /** Nobody wrote them down, and no death explains them. */
  readonly unexplained: readonly string[];
}

export function accountFor(live: Stats["volumes"]["list"], workers: readonly WorkerProcess[]): Account {
  const written = new Set(
    workers.flatMap((worker) => eventsOf(worker, "job.moved")).map(({ volumeId }) => volumeId),
  );
  const hits = workers.flatMap(jobsHitWhileCreating);
  const orphans: Orphan[] = [];
  const unexplained: string[] = [];
  for (const { id, createdAt } of live) {
    if (written.has(id)) continue;
    const index = hits.findIndex(({ from, to }) => from <= createdAt && createdAt <= to);
    const [hit] = index === -1 ? [] : hits.splice(index, 1);
    if (hit === undefined) unexplained.push(id);
    else orphans.push({ volumeId: id, jobId: hit.jobId });
  }
  return { known: live.map(({ id }) => id).filter((id) => written.has(id)), orphans, unexplained };
}

/** The jobs that a killed worker had in hand and that had no volume yet, with the time in which it made one. */
function jobsHitWhileCreating(worker: WorkerProcess): { jobId: string; from: number; to: number }[] {
  const diedAt = worker.endedAt();
  if (diedAt === null || worker.child.signalCode !== "SIGKILL") return [];
  const past = new Set(eventsOf(worker, "job.moved").map(({ jobId }) => jobId));
  return eventsOf(worker, "job.started")
    .filter(({ jobId, resumedAt }) => !past.has(jobId) && (resumedAt ?? "createVolume") === "createVolume")
    .map(({ jobId, time }) => ({ jobId, from: time, to: diedAt + ON_ITS_WAY_MS }));
}
