/** Longest single wait, after which a follower looks again. Node has no timers of more than 24 days. */
const LONGEST_WAIT_MS = 60_000;

/** Long polls: each waits for an event of a key. */
export class Waiters {
  /** By key: how to end each wait, and the topic that it is about. */
  readonly #waiting = new Map<string, Map<() => void, string>>();

  /**
   * Resolves when the key is woken, after `timeoutMs`, or when `signal` aborts; never rejects. With a topic,
   * what happens to another topic of the key does not wake it.
   */
  async wait(key: string, timeoutMs: number, signal: AbortSignal, topic = ""): Promise<void> {
    if (timeoutMs <= 0 || signal.aborted) return;
    const waiters = this.#waiting.get(key) ?? new Map<() => void, string>();
    this.#waiting.set(key, waiters);
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        waiters.delete(done);
        if (waiters.size === 0 && this.#waiting.get(key) === waiters) this.#waiting.delete(key);
        resolve();
      };
      const timer = setTimeout(done, Math.min(timeoutMs, LONGEST_WAIT_MS));
      signal.addEventListener("abort", done);
      waiters.set(done, topic);
    });
  }

  /** Ends the waits for a key; with a topic, only those for that topic or for any. */
  wake(key: string, topic = ""): void {
    for (const [done, wanted] of this.#waiting.get(key) ?? []) {
      if (topic === "" || wanted === "" || wanted === topic) done();
    }
  }
}
