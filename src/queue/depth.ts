import { JOB_TYPES } from "../job/contract.ts";
import type { Queues } from "./queues.ts";

const COUNTED = ["active", "waiting", "delayed", "prioritized", "completed", "failed"] as const;

/** How many jobs each queue has in each BullMQ state. */
export async function queueDepths(queues: Queues): Promise<{ queue: string; state: string; jobs: number }[]> {
  const perQueue = await Promise.all(
    JOB_TYPES.map(async (queue) => {
      const counts = await queues[queue].getJobCounts(...COUNTED);
      return COUNTED.map((state) => ({ queue, state, jobs: counts[state] ?? 0 }));
    }),
  );
  return perQueue.flat();
}
