import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { z } from "zod";
import { LineSplitter } from "./line-splitter.ts";

/** Longer lines of output come in pieces, so that a function that never ends a line does not fill our memory. */
const MAX_LOG_LINE_CHARS = 16 * 1024;
/** Longest report, and so the longest result, as text. */
const MAX_REPORT_CHARS = 64 * 1024 * 1024;

/** Order for the child. */
export interface ChildJob {
  /** Goes first on Python's import path: where the mounted files are. */
  readonly importRoot: string;
  readonly module: string;
  readonly attribute: string;
  readonly args:
    | { readonly format: "json"; readonly value: unknown }
    | { readonly format: "pickle"; readonly data: string };
  readonly resultFormat: "json" | "pickle";
  /** Whether the process may wait for another call afterwards, where the function wants it. */
  readonly mayStay: boolean;
}

const failureFields = { exception: z.string(), traceback: z.string() };
const targetSchema = z.object({ volumeId: z.string().optional(), path: z.string().optional() });

/**
 * Reports of the child, one JSON document per line. A function can reach the descriptor, so nothing is
 * trusted.
 */
const reportSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("arguments"), target: targetSchema }),
  z.object({ kind: z.literal("success"), value: z.unknown().optional(), data: z.string().optional() }),
  z.object({ kind: z.literal("failure"), ...failureFields }),
  z.object({ kind: z.literal("init_failure"), ...failureFields }),
]);
export type ChildReport = z.infer<typeof reportSchema>;

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

/** The connections that a child makes to us. */
const STREAMS = ["stdout", "stderr", "reports"] as const;
type StreamName = (typeof STREAMS)[number];

export function isStreamName(name: string): name is StreamName {
  return (STREAMS as readonly string[]).includes(name);
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

  /** Whether the process has its job, so that something of the function may have run. */
  get hasBegun(): boolean {
    return this.#streams.size === STREAMS.length;
  }

  /** Takes one connection of the process. The job goes out when all are there. */
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

  /** Notes that the process and its whole group are gone, or that it has no more to do with this call. */
  ended(end: ChildEnd): void {
    this.#end ??= end;
    // Without its job the process has said nothing, and its last connection may never come.
    if (this.#streams.size < STREAMS.length) for (const stream of this.#streams.values()) stream.destroy();
    this.#finish();
  }

  /** Lets go of a process that did nothing of this call; another one will. */
  discard(): void {
    this.#isOver = true;
    for (const stream of this.#streams.values()) stream.destroy();
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
    return follow(stream, MAX_REPORT_CHARS, (line) => {
      const report = line.length > MAX_REPORT_CHARS ? tooLong() : parseReport(line);
      if (report !== undefined) onReport(report);
    });
  }
}

/** A report; undefined for anything else that was written to our descriptor. */
function parseReport(line: string): ChildReport | undefined {
  try {
    return reportSchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

function tooLong(): ChildReport {
  const exception = `The result is longer than ${MAX_REPORT_CHARS} characters; write it into a volume`;
  return { kind: "failure", exception, traceback: "" };
}

function follow(stream: Readable, maxChars: number, onLine: (line: string) => void): () => void {
  const splitter = new LineSplitter(onLine, maxChars);
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => splitter.push(chunk));
  stream.on("error", () => undefined);
  return () => splitter.end();
}
