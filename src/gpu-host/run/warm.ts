import type { Socket } from "node:net";

/** A process that has done a call and waits for the next one of its kind. */
export interface WarmProcess {
  /** Under this ID the launcher knows it: that of its last call. */
  readonly id: string;
  readonly pid: number | undefined;
  /** The calls that it can take: those of one function with one model. */
  readonly kind: string;
  /** Takes the next order; its end ends the process. */
  readonly connection: Socket;
  /** Memory that is its own, in bytes, where the system says so. */
  readonly bytes: number;
}

export interface WarmLimits {
  /** How many processes wait at a time; 0 keeps none. */
  readonly most: number;
  /** How long each one waits. */
  readonly idleMs: number;
}

/**
 * Processes that wait with a model in memory, because loading one takes longer than most calls. Modal keeps its
 * containers in the same way.
 */
export class WarmProcesses {
  readonly #limits: WarmLimits;
  /** By ID, the one that waits the longest first. */
  readonly #waiting = new Map<string, { readonly process: WarmProcess; readonly timer: NodeJS.Timeout }>();

  constructor(limits: WarmLimits) {
    this.#limits = limits;
  }

  get isOn(): boolean {
    return this.#limits.most > 0;
  }

  list(): WarmProcess[] {
    return [...this.#waiting.values()].map(({ process }) => process);
  }

  add(process: WarmProcess): void {
    const { connection, id } = process;
    const timer = setTimeout(() => this.#end(id), this.#limits.idleMs);
    this.#waiting.set(id, { process, timer });
    connection.on("close", () => this.#remove(id));
    this.#makeRoom(this.#limits.most);
  }

  /** A process for a call of this kind; it waits no more. */
  take(kind: string): WarmProcess | undefined {
    const found = this.list().findLast((process) => process.kind === kind);
    if (found !== undefined) this.#remove(found.id);
    return found;
  }

  /** Ends those that wait the longest until another one may be added. */
  makeRoom(): void {
    this.#makeRoom(this.#limits.most - 1);
  }

  close(): void {
    for (const id of this.#waiting.keys()) this.#end(id);
  }

  #makeRoom(most: number): void {
    for (const id of this.#waiting.keys()) {
      if (this.#waiting.size <= most) return;
      this.#end(id);
    }
  }

  #end(id: string): void {
    const connection = this.#waiting.get(id)?.process.connection;
    this.#remove(id);
    connection?.destroy();
  }

  #remove(id: string): void {
    clearTimeout(this.#waiting.get(id)?.timer);
    this.#waiting.delete(id);
  }
}
