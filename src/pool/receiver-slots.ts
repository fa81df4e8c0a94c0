/** Requests to one receiver at a time, and how many more may wait for their turn here. */
const AT_ONCE = 8;
const IN_LINE = 16;

/** Turns of receivers: one that hangs must not keep the others from theirs. */
export class ReceiverSlots {
  readonly #lines = new Map<string, { running: number; readonly waiting: (() => void)[] }>();

  /** Waits for a turn, to be given back with `leave`; false at once when the line is too long. */
  async enter(receiver: string): Promise<boolean> {
    const line = this.#lines.get(receiver) ?? { running: 0, waiting: [] };
    this.#lines.set(receiver, line);
    if (line.running < AT_ONCE) {
      line.running += 1;
      return true;
    }
    if (line.waiting.length >= IN_LINE) return false;
    await new Promise<void>((go) => line.waiting.push(go));
    return true;
  }

  leave(receiver: string): void {
    const line = this.#lines.get(receiver);
    if (line === undefined) return;
    const next = line.waiting.shift();
    // The turn is handed on as it is.
    if (next !== undefined) next();
    else if (line.running > 1) line.running -= 1;
    else this.#lines.delete(receiver);
  }
}
