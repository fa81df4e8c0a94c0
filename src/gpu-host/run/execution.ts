import type { Blobs } from "../store/blobs.ts";
import type { InputTarget } from "../store/records.ts";
import type { Ending } from "./calls.ts";
import type { ChildEnd, ChildReport } from "./child.ts";
import type { Launcher, Start } from "./launcher.ts";
import { reportedResult, silentResult, timedOut } from "./result.ts";

/** How long a function may clean up after it was asked to stop. */
const GRACE_MS = 1000;

/** One run of a function: its child process, its time limit and its result. */
export class Execution {
  readonly ended: Promise<Ending>;
  readonly #launcher: Launcher;
  readonly #id: string;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #dataFormat: number;
  readonly #blobs: Blobs;
  #report: Exclude<ChildReport, { kind: "arguments" }> | undefined;
  #stopped: Ending | undefined;

  constructor(options: {
    launcher: Launcher;
    start: Start;
    timeoutSecs: number;
    dataFormat: number;
    blobs: Blobs;
    onLine: (stream: "stdout" | "stderr", text: string) => void;
    onArguments: (target: InputTarget) => void;
  }) {
    this.#dataFormat = options.dataFormat;
    this.#blobs = options.blobs;
    const { promise, resolve } = deferred<ChildEnd>();
    this.#launcher = options.launcher;
    this.#id = options.start.id;
    this.#launcher.start(options.start, {
      onLine: options.onLine,
      onReport: (report) => {
        if (report.kind === "arguments") options.onArguments(report.target);
        // Output after the function was stopped comes too late.
        else if (this.#stopped === undefined) this.#report = report;
      },
      onEnd: resolve,
    });
    this.#after(options.timeoutSecs * 1000, () => {
      this.stop({ state: "failed", result: timedOut(options.timeoutSecs) }, { atOnce: false });
    });
    this.ended = promise.then((end) => this.#ending(end));
  }

  /** Asks the function to stop, and insists after a moment; the first reason given counts. */
  stop(ending: Ending, options: { atOnce: boolean }): void {
    this.#stopped ??= ending;
    if (options.atOnce) {
      this.kill();
      return;
    }
    this.#launcher.kill(this.#id, "SIGTERM");
    this.#after(GRACE_MS, () => this.kill());
  }

  kill(): void {
    this.#launcher.kill(this.#id, "SIGKILL");
  }

  async #ending(end: ChildEnd): Promise<Ending> {
    for (const timer of this.#timers) clearTimeout(timer);
    if (this.#report === undefined) {
      return this.#stopped ?? { state: "failed", result: silentResult(end, this.#dataFormat) };
    }
    const result = await reportedResult(this.#report, this.#dataFormat, this.#blobs);
    return { state: this.#report.kind === "success" ? "succeeded" : "failed", result };
  }

  #after(delayMs: number, action: () => void): void {
    this.#timers.push(setTimeout(action, delayMs));
  }
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => (resolve = settle));
  return { promise, resolve };
}
