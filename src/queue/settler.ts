import type { Job } from "bullmq";

/** Clears the books of jobs once BullMQ has them as finished. */
export class Settler {
  readonly #onError: (error: unknown) => void;
  /** Weak, because a job that BullMQ refuses to finish (the lease is gone) is never settled here. */
  readonly #expected = new WeakMap<Job, () => Promise<void>>();
  readonly #running = new Set<Promise<void>>();

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  /** Takes what clears the books of a job that BullMQ is about to finish. */
  expect(job: Job, settle: () => Promise<void>): void {
    this.#expected.set(job, settle);
  }

  /** Settles a job that BullMQ has finished; false when its end did not come from here. */
  settle(job: Job): boolean {
    const run = this.#expected.get(job);
    if (run === undefined) return false;
    const settled = run()
      .catch(this.#onError)
      .finally(() => this.#running.delete(settled));
    this.#running.add(settled);
    return true;
  }

  /** Waits until all that was begun is done. */
  async idle(): Promise<void> {
    await Promise.all(this.#running);
  }
}
