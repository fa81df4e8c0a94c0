/** Something that takes jobs and can stop doing so. */
export interface Taker {
  pause(): Promise<void>;
  resume(): void;
}

/** Reasons to take no jobs: the disk, this worker's token or its way to Modal, the pause of the pool, another server's prefix. */
export const HOLDS = ["disk", "token", "unreachable", "pool", "prefix"] as const;
export type Hold = (typeof HOLDS)[number];

/** The taking of jobs: it stands still while there is any reason for it. */
export class Intake {
  readonly #takers: readonly Taker[];
  readonly #held = new Map<Hold, string>();

  constructor(takers: readonly Taker[]) {
    this.#takers = takers;
  }

  /** Reasons that hold now, in words. */
  get reasons(): ReadonlyMap<Hold, string> {
    return this.#held;
  }

  /** Takes no jobs for this reason; null takes the reason away. */
  async set(hold: Hold, why: string | null): Promise<void> {
    const wasHeld = this.#held.size > 0;
    if (why === null) this.#held.delete(hold);
    else this.#held.set(hold, why);
    const isHeld = this.#held.size > 0;
    if (wasHeld === isHeld) return;
    if (isHeld) await Promise.all(this.#takers.map(async (taker) => await taker.pause()));
    else for (const taker of this.#takers) taker.resume();
  }
}
