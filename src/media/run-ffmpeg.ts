import { type ChildProcess, spawn } from "node:child_process";
import { addAbortSignal, type Readable } from "node:stream";
import { programEnvironment } from "../config/child-environment.ts";
import { MirumojiError } from "../job/errors.ts";
import { hasErrno } from "./errno.ts";

/** An ffmpeg that writes to its stdout. */
export interface RunningFfmpeg {
  readonly stdout: Readable;
  /** Second output of the last one, where it was asked for: its file descriptor 3. */
  readonly aside: Readable | null;
  /** Settles when it has ended; null when all went well. */
  readonly failure: Promise<MirumojiError | null>;
  /** Ends it at once, without waiting for its end. */
  kill(): void;
}

const STDERR_CHARS = 4096;

/**
 * Starts ffmpeg, or several of which each reads what the one before it writes. They are killed when the signal aborts,
 * and die of their closed stdout when this process does.
 */
export function runFfmpeg(
  programs: readonly (readonly string[])[],
  signal: AbortSignal,
  { hasAside = false }: { readonly hasAside?: boolean } = {},
): RunningFfmpeg {
  const running: RunningFfmpeg[] = [];
  for (const args of programs) {
    const isLast = running.length === programs.length - 1;
    running.push(runOne(args, running.at(-1)?.stdout ?? null, { signal, hasAside: hasAside && isLast }));
  }
  const last = running.at(-1);
  if (last === undefined) throw new TypeError("there is no program to run");
  const failures = Promise.all(running.map(async ({ failure }) => await failure));
  return {
    stdout: last.stdout,
    aside: last.aside,
    // The first that failed is the reason; the others lost their reader or their writer.
    failure: failures.then((ends) => ends.find((end) => end !== null) ?? null),
    kill: () => {
      for (const one of running) one.kill();
    },
  };
}

function runOne(
  args: readonly string[],
  given: Readable | null,
  { signal, hasAside }: { readonly signal: AbortSignal; readonly hasAside: boolean },
): RunningFfmpeg {
  const pipe = "pipe" as const;
  const stdio = [pipe, pipe, pipe, ...(hasAside ? [pipe] : [])] as unknown as [
    typeof pipe,
    typeof pipe,
    typeof pipe,
  ];
  const child = spawn("ffmpeg", args, { stdio, env: programEnvironment() });
  const aside = hasAside ? (child.stdio[3] as unknown as Readable) : null;
  aside?.on("error", () => {});
  const { stdin, stdout, stderr } = child;
  // A reader that is gone says itself why.
  stdin.on("error", () => given?.destroy());
  if (given === null) stdin.end();
  else given.on("error", () => stdin.destroy()).pipe(stdin);
  const kill = (): void => {
    child.kill("SIGKILL");
    stdout.destroy();
    aside?.destroy();
  };
  if (signal.aborted) kill();
  signal.addEventListener("abort", kill, { once: true });
  addAbortSignal(signal, stdout).on("error", () => {});
  let words = "";
  stderr.setEncoding("utf8").on("data", (text: string) => {
    words = (words + text).slice(-STDERR_CHARS);
  });
  const failure = endOf(child, () => words).finally(() => signal.removeEventListener("abort", kill));
  return { stdout, aside, failure, kill };
}

async function endOf(child: ChildProcess, words: () => string): Promise<MirumojiError | null> {
  return await new Promise((resolve) => {
    child.once("error", (cause) => {
      resolve(
        hasErrno(cause, "ENOENT")
          ? new MirumojiError("PROGRAM_MISSING", "ffmpeg is not on this machine; install it", { cause })
          : extractionFailed(`ffmpeg cannot be started: ${cause.message}`, cause),
      );
    });
    child.once("close", (code, by) => {
      if (code === 0) return resolve(null);
      const lines = words()
        .split("\n")
        .map((line) => line.trim())
        .filter((line) => line !== "");
      const how = code === null ? `was ended by ${by ?? "a signal"}` : `failed with exit code ${code}`;
      resolve(
        extractionFailed(`ffmpeg ${how}: ${lines.slice(-3).join(" | ").slice(-600) || "it said nothing"}`),
      );
    });
  });
}

/** The error for an audio track that cannot be had. */
export function extractionFailed(why: string, cause?: unknown): MirumojiError {
  return new MirumojiError("AUDIO_EXTRACTION_FAILED", why, { cause });
}
