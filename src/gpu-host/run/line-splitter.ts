/** Turns chunks of text into whole lines; a line longer than `maxChars` is cut. */
export class LineSplitter {
  readonly #onLine: (line: string) => void;
  readonly #maxChars: number;
  #rest = "";

  constructor(onLine: (line: string) => void, maxChars: number) {
    this.#onLine = onLine;
    this.#maxChars = maxChars;
  }

  push(chunk: string): void {
    const lines = (this.#rest + chunk).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#onLine(line);
    if (this.#rest.length > this.#maxChars) this.end();
  }

  end(): void {
    if (this.#rest !== "") this.#onLine(this.#rest);
    this.#rest = "";
  }
}
