import type { WorkerProcess } from "../../../support/stack.ts";

/** A line of a worker's log that says what became of a job. */
interface JobEventLine {
  readonly time: number;
  readonly jobId: string;
  readonly volumeId?: string | null;
  readonly resumedAt?: string | null;
}

/** Job events in a worker's log, in order. */
export function eventsOf(worker: WorkerProcess, name: string): JobEventLine[] {
  return worker
    .log()
    .split("\n")
    .filter((line) => line.includes(`"event":"${name}"`) && line.endsWith("}"))
    .map((line) => JSON.parse(line) as JobEventLine);
}
