import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { LineSplitter } from "./line-splitter.ts";

const RUNNER_FILE = fileURLToPath(new URL("../../../container/host/run_function.py", import.meta.url));

/** A function that prints without ever ending a line must not fill our memory. */
const MAX_LOG_LINE_CHARS = 16 * 1024;

/** What the child is told on its standard input. */
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

/** What the child says on descriptor 3, one JSON document per line. */
export type ChildReport =
  | { readonly kind: "arguments"; readonly target: { readonly volumeId?: string; readonly path?: string } }
  | { readonly kind: "success"; readonly value?: unknown; readonly data?: string }
  | { readonly kind: "failure" | "init_failure"; readonly exception: string; readonly traceback: string };

export interface ChildEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Set when Python could not be started at all. */
  readonly error?: Error;
}

interface ChildHandlers {
  readonly onReport: (report: ChildReport) => void;
  readonly onLine: (stream: "stdout" | "stderr", line: string) => void;
  /** Called once, after the last report and line. */
  readonly onEnd: (end: ChildEnd) => void;
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

/** One function call in a Python process group of its own. */
export class Child {
  readonly #process: ChildProcess;

  constructor(
    options: { python: string; job: ChildJob; workDir: string; env: NodeJS.ProcessEnv },
    handlers: ChildHandlers,
  ) {
    const child = spawn(options.python, ["-u", "-B", RUNNER_FILE], {
      cwd: options.workDir,
      env: options.env,
      detached: true,
      stdio: ["pipe", "pipe", "pipe", "pipe"],
    });
    this.#process = child;
    let failure: Error | undefined;
    child.on("error", (error) => (failure = error));
    // The standard input stays open: the child takes its end as our death and kills its group.
    child.stdin.on("error", () => undefined);
    child.stdin.write(`${JSON.stringify(options.job)}\n`);
    const flushers = [
      follow(child.stdout, MAX_LOG_LINE_CHARS, (line) => handlers.onLine("stdout", line)),
      follow(child.stderr, MAX_LOG_LINE_CHARS, (line) => handlers.onLine("stderr", line)),
      follow(child.stdio[3] as Readable, Infinity, (line) => {
        const report = parseReport(line);
        if (report !== undefined) handlers.onReport(report);
      }),
    ];
    // What the function left running in the background would keep the pipes open.
    child.on("exit", () => this.kill("SIGKILL"));
    child.on("close", (code, signal) => {
      for (const flush of flushers) flush();
      handlers.onEnd({ code, signal, ...(failure === undefined ? {} : { error: failure }) });
    });
  }

  /** Signals the whole group; one that is gone already is fine. */
  kill(signal: "SIGTERM" | "SIGKILL"): void {
    const pid = this.#process.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
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
