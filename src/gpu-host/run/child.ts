import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { LineSplitter } from "./line-splitter.ts";

/** A function that prints without ever ending a line must not fill our memory. */
const MAX_LOG_LINE_CHARS = 16 * 1024;

/** What the child is told. */
export interface ChildJob {
  /** Goes first on Python's import path: where the mounted files are. */
  readonly importRoot: string;
  readonly module: string;
  readonly attribute: string;
  readonly args:
    | { readonly format: "json"; readonly value: unknown }
    | { readonly format: "pickle"; readonly data: string };
  readonly resultFormat: "json" | "pickle";
}

/** What the child says, one JSON document per line. */
export type ChildReport =
  | { readonly kind: "arguments"; readonly target: { readonly volumeId?: string; readonly path?: string } }
  | { readonly kind: "success"; readonly value?: unknown; readonly data?: string }
  | { readonly kind: "failure" | "init_failure"; readonly exception: string; readonly traceback: string };

export interface ChildEnd {
  readonly code: number | null;
  readonly signal: string | null;
  /** Set when Python could not be started at all. */
  readonly error?: Error;
}

export interface ChildHandlers {
  readonly onReport: (report: ChildReport) => void;
  readonly onLine: (stream: "stdout" | "stderr", line: string) => void;
  /** Called once, after the last report and line. */
  readonly onEnd: (end: ChildEnd) => void;
}

/** The connections that a child makes to us, in this order. */
const STREAMS = ["stdout", "stderr", "reports"] as const;
type StreamName = (typeof STREAMS)[number];

export function isStreamName(name: string): name is StreamName {
  return (STREAMS as readonly string[]).includes(name);
}

/**
 * What a function may see of our environment: what programs and GPU libraries need, and no secret. What an
 * image would have inside is found over `PYTHONPATH` here.
 */
const PASSED_ON =
  /^(PATH|HOME|LANG|LC_.*|TZ|LD_LIBRARY_PATH|CUDA_.*|NVIDIA_.*|PYTHONPATH|HF_HOME|XDG_CACHE_HOME|MIRUMOJI_.*)$/;
const SECRET = /TOKEN|SECRET|PASSWORD|_KEY/;

export function runEnvironment(paths: { volumesPath: string; workDir: string }): NodeJS.ProcessEnv {
  // oxlint-disable-next-line no-restricted-properties -- it is not read but handed on, in part
  const passedOn = Object.entries(process.env).filter(([name]) => PASSED_ON.test(name) && !SECRET.test(name));
  return {
    ...Object.fromEntries(passedOn),
    TMPDIR: paths.workDir,
    MIRUMOJI_GPU_HOST_VOLUMES: paths.volumesPath,
  };
}

/** Our end of one function call: three connections, and what the launcher tells of the process. */
export class Child {
  readonly #job: ChildJob;
  readonly #handlers: ChildHandlers;
  readonly #streams = new Map<StreamName, Socket>();
  readonly #flushers: (() => void)[] = [];
  #open = 0;
  #end: ChildEnd | undefined;
  #isOver = false;

  constructor(job: ChildJob, handlers: ChildHandlers) {
    this.#job = job;
    this.#handlers = handlers;
  }

  /** Takes one connection of the process; the job goes out when all are there. */
  attach(name: StreamName, stream: Socket): void {
    if (this.#end !== undefined || this.#streams.has(name)) {
      stream.destroy();
      return;
    }
    this.#streams.set(name, stream);
    this.#open += 1;
    stream.on("close", () => {
      this.#open -= 1;
      this.#finish();
    });
    this.#flushers.push(this.#follow(name, stream));
    if (this.#streams.size === STREAMS.length) {
      this.#streams.get("reports")?.write(`${JSON.stringify(this.#job)}\n`);
    }
  }

  /** The process is gone, with its whole group. */
  ended(end: ChildEnd): void {
    this.#end ??= end;
    // One that did not get its job cannot have said anything; its last connection may never come.
    if (this.#streams.size < STREAMS.length) for (const stream of this.#streams.values()) stream.destroy();
    this.#finish();
  }

  #finish(): void {
    if (this.#end === undefined || this.#open > 0 || this.#isOver) return;
    this.#isOver = true;
    for (const flush of this.#flushers) flush();
    this.#handlers.onEnd(this.#end);
  }

  #follow(name: StreamName, stream: Readable): () => void {
    const { onLine, onReport } = this.#handlers;
    if (name !== "reports") return follow(stream, MAX_LOG_LINE_CHARS, (line) => onLine(name, line));
    return follow(stream, Infinity, (line) => {
      const report = parseReport(line);
      if (report !== undefined) onReport(report);
    });
  }
}

/** A report; undefined for what the function itself wrote to our descriptor. */
function parseReport(line: string): ChildReport | undefined {
  try {
    return JSON.parse(line) as ChildReport;
  } catch {
    return undefined;
  }
}

function follow(stream: Readable, maxChars: number, onLine: (line: string) => void): () => void {
  const splitter = new LineSplitter(onLine, maxChars);
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => splitter.push(chunk));
  stream.on("error", () => undefined);
  return () => splitter.end();
}
