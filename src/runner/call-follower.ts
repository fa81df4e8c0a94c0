import { z } from "zod";
import type { EmitJobEvent, JobIdentity } from "../job/events.ts";
import type { StepProgress } from "../job/summary.ts";
import type { StepTools } from "../steps/context.ts";

/** The handler's progress lines: `MIRUMOJI {"stage":"transcribe","fraction":0.4}`. */
const PROGRESS_LINE = /^MIRUMOJI (\{.*\})\s*$/u;
const progressSchema = z.object({ stage: z.string().max(40), fraction: z.number().min(0).max(1) });

/** Reads one line of container output as progress, or null when it is plain log. */
export function parseProgressLine(line: string): StepProgress | null {
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
 * Follows a running call's output until stopped: progress lines become job progress, the rest job log.
 * Best effort; it never decides whether the call is finished.
 */
export function followCall(
  tools: StepTools,
  options: {
    identity: JobIdentity;
    appId: string;
    callId: string;
    emit: EmitJobEvent;
    report: (progress: StepProgress) => void;
  },
): { stop: () => Promise<void> } {
  const stopping = new AbortController();
  const follow = async () => {
    await tools.calls.followLogs({
      appId: options.appId,
      callId: options.callId,
      signal: stopping.signal,
      onLine: ({ text, stream }) => {
        const progress = parseProgressLine(text);
        if (progress !== null) {
          options.report(progress);
          const { stage = null, fraction = null } = progress;
          options.emit("call.progress", { ...options.identity, callId: options.callId, stage, fraction });
        } else options.emit("call.log", { ...options.identity, callId: options.callId, line: text, stream });
      },
    });
  };
  const following = follow().catch((error: unknown) => {
    options.emit("cleanup.failed", { ...options.identity, action: "followLogs", message: String(error) });
  });
  return {
    stop: async () => {
      stopping.abort(STOPPED);
      await following;
    },
  };
}
