/** Turns chunks of text into whole lines; a line longer than `maxChars` comes in pieces. */
export class LineSplitter {
  readonly #onLine: (line: string) => void;
  readonly #maxChars: number;
  /** Pieces of the line that has not ended, each of them looked through once. */
  #rest: string[] = [];
  #restChars = 0;

  constructor(onLine: (line: string) => void, maxChars: number) {
    this.#onLine = onLine;
    this.#maxChars = maxChars;
  }

  push(chunk: string): void {
    const lines = chunk.split("\n");
    const last = lines.pop() ?? "";
    for (const line of lines) {
      this.#add(line);
      this.#onLine(this.#take());
    }
    this.#add(last);
  }

  end(): void {
    const rest = this.#take();
    if (rest !== "") this.#onLine(rest);
  }

  #add(piece: string): void {
    this.#rest.push(piece);
    this.#restChars += piece.length;
    if (this.#restChars > this.#maxChars) this.#onLine(this.#take());
  }

  #take(): string {
    const text = this.#rest.join("");
    this.#rest = [];
    this.#restChars = 0;
    return text;
  }
}
