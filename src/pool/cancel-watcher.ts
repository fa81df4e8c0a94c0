import type { JobType } from "../job/contract.ts";
import type { CancelFeed } from "../queue/cancel-feed.ts";
import type { Consumer } from "../queue/consumer.ts";

/** How late a cancel may be noticed when the push is lost. */
const POLL_MS = 2000;

/** Passes cancels on to the jobs that run here: at once when they are pushed, soon when the push is lost. */
export function startCancelWatcher(options: {
  feed: CancelFeed;
  consumers: Record<JobType, Consumer>;
  onError: (error: unknown, what: string) => void;
}): { stop: () => Promise<void> } {
  const { feed, consumers, onError } = options;
  const cancel = (queue: string, jobId: string) => {
    for (const [type, consumer] of Object.entries(consumers)) if (type === queue) consumer.cancel(jobId);
  };
  const listening = feed.listen(cancel).catch((error: unknown) => {
    onError(error, "cancel channel");
  });
  let polling: Promise<void> = Promise.resolve();
  const poll = async () => {
    for (const [queue, consumer] of Object.entries(consumers)) {
      const jobIds = consumer.activeIds();
      if (jobIds.length === 0) continue;
      for (const jobId of await feed.requested(queue, jobIds)) consumer.cancel(jobId);
    }
  };
  const timer = setInterval(() => {
    polling = polling.then(poll).catch((error: unknown) => {
      onError(error, "cancel poll");
    });
  }, POLL_MS);
  return {
    async stop() {
      clearInterval(timer);
      await listening;
      await feed.close();
    },
  };
}
