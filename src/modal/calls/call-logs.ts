import type { LogLine } from "../../ports/calls.ts";
import { sleep } from "../rpc/abort.ts";
import { retry } from "../rpc/retry.ts";
import { type ItemOf, serverStream } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";
import { FILE_DESCRIPTOR, LONG_POLL_GRACE_MS, LONG_POLL_SECONDS, STREAM_PAUSE_MS } from "../rpc/wire.ts";

/** Errors in a row after which log following stops: the server offers no logs. */
const MAX_ERRORS = 6;

/** Longest line kept, in characters: progress lines have 60, and an endless line must not fill the memory. */
const LINE_CHARS = 8 * 1024;

type LogItem = ItemOf<"appGetLogs">["items"][number];

/**
 * Passes on a call's output line by line until `signal` aborts or the app is done. Streams end every minute and
 * sometimes break: the next one resumes after the last entry seen. Best effort: lines may be late, and it never throws.
 */
export async function followLogs(
  session: ModalSession,
  {
    appId,
    callId,
    signal,
    onLine,
  }: {
    readonly appId: string;
    readonly callId: string;
    readonly signal: AbortSignal;
    readonly onLine: (line: LogLine) => void;
  },
): Promise<void> {
  const lines = lineSplitter(onLine);
  // Starts empty, unlike `FunctionGetOutputs` (`modal-wire` trap 22).
  let lastEntryId = "";
  const untilDone = async (progressed: () => void): Promise<void> => {
    for (;;) {
      const batches = serverStream(
        session,
        "appGetLogs",
        { appId, functionCallId: callId, timeout: LONG_POLL_SECONDS, lastEntryId },
        { signal, timeoutMs: LONG_POLL_SECONDS * 1000 + LONG_POLL_GRACE_MS },
      );
      for await (const batch of batches) {
        progressed();
        if (batch.entryId !== "") lastEntryId = batch.entryId;
        for (const item of batch.items) lines.add(item);
        if (batch.appDone) return;
      }
      await sleep(STREAM_PAUSE_MS, signal);
    }
  };
  await retry(untilDone, { signal, tries: MAX_ERRORS }).catch(() => undefined);
  lines.flush();
}

/** Joins the pieces of lines, per stream; keeps the beginning of very long ones. */
function lineSplitter(onLine: (line: LogLine) => void): { add(item: LogItem): void; flush(): void } {
  const partial = new Map<LogLine["stream"], string>();
  const emit = (stream: LogLine["stream"], text: string): void => {
    if (text !== "") onLine({ stream, text: text.slice(0, LINE_CHARS) });
  };
  return {
    add({ data, fileDescriptor }) {
      const stream = streamOf(fileDescriptor);
      const pieces = `${partial.get(stream) ?? ""}${data}`.split(/\r?\n/);
      partial.set(stream, (pieces.pop() ?? "").slice(0, LINE_CHARS));
      for (const text of pieces) emit(stream, text);
    },
    flush() {
      for (const [stream, text] of partial) emit(stream, text);
      partial.clear();
    },
  };
}

function streamOf(fileDescriptor: number): LogLine["stream"] {
  if (fileDescriptor === FILE_DESCRIPTOR.stdout) return "stdout";
  return fileDescriptor === FILE_DESCRIPTOR.stderr ? "stderr" : "system";
}
