import { z } from "zod";
import type { LogLine } from "../ports/calls.ts";
import { type CallProgress, filmProgress } from "./film-progress.ts";
import type { JobRun } from "./job-run.ts";

/** The handler's progress lines: `MIRUMOJI {"stage":"transcribe","fraction":0.4}`. */
const PROGRESS_LINE = /^MIRUMOJI (\{.*\})\s*$/u;
const progressSchema = z.object({
  stage: z.string().max(40),
  fraction: z.number().min(0).max(1),
  part: z.int().nonnegative().optional(),
});

/** Reads one line of container output as progress, or null when it is plain log. */
export function parseProgressLine(line: string): CallProgress | null {
  const [, json] = PROGRESS_LINE.exec(line) ?? [];
  if (json === undefined) return null;
  try {
    const parsed = progressSchema.safeParse(JSON.parse(json));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

/** Made once: an abort without a reason makes an error, with its stack, each time. */
const STOPPED = new Error("the call's output is not followed any more");

/**
 * Follows the output of the job's open call until stopped: progress lines become job progress, the rest job log. Null
 * while no call is open. Best effort; it never decides whether the call is finished.
 */
export function followCall(run: JobRun): { stop: () => Promise<void> } | null {
  const { state, facts } = run.checkpoint;
  const { callId, appId = "" } = facts;
  if (state !== "call" || callId === undefined) return null;
  const stopping = new AbortController();
  const film = filmProgress(() => run.checkpoint.facts.parts ?? []);
  const onLine = ({ text, stream }: LogLine) => {
    const line = parseProgressLine(text);
    if (line === null) return run.emit("call.log", { callId, line: text, stream });
    const progress = film(line);
    if (progress === null) return;
    run.feed.report(progress);
    const { stage = null, fraction = null } = progress;
    run.emit("call.progress", { callId, stage, fraction });
  };
  const following = run.tools.calls
    .followLogs({ appId, callId, signal: stopping.signal, onLine })
    .catch((error: unknown) => {
      run.emit("cleanup.failed", { action: "followLogs", message: String(error) });
    });
  return {
    stop: async () => {
      stopping.abort(STOPPED);
      await following;
    },
  };
}
