import type { StepProgress } from "../job/summary.ts";

/** At most two progress writes a second per job: BullMQ's event stream is short and lossy. */
const INTERVAL_MS = 500;

/** Collects progress and shows the newest at a bounded rate; never more than one write under way. */
export class ProgressFeed {
  readonly #show: (progress: StepProgress) => Promise<unknown>;
  #latest: StepProgress | null = null;
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<unknown> | null = null;

  constructor(show: (progress: StepProgress) => Promise<unknown>) {
    this.#show = show;
  }

  /** Takes newer progress. The first write waits an interval too: short steps need none. */
  readonly report = (progress: StepProgress): void => {
    this.#latest = progress;
    this.#timer ??= setTimeout(this.#flush, INTERVAL_MS);
  };

  /** Drops what is not written yet and waits for the write under way, so that no old progress overtakes a commit. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#latest = null;
    await this.#writing;
  }

  readonly #flush = (): void => {
    this.#timer = null;
    if (this.#latest === null) return;
    const progress = this.#latest;
    this.#latest = null;
    // Progress is for the eye: a write that fails is made good by the next one.
    this.#writing = this.#show(progress)
      .catch(() => undefined)
      .finally(() => {
        this.#writing = null;
        if (this.#latest !== null) this.#timer ??= setTimeout(this.#flush, INTERVAL_MS);
      });
  };
}
