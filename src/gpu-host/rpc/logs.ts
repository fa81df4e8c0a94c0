import { AppState, FileDescriptor } from "../enums.ts";
import type { LogEntry } from "../run/logs.ts";
import type { Services } from "../services.ts";
import { type Handlers, milliseconds, type Request, timestamp } from "../wire.ts";

type Names = "appGetLogs" | "appFetchLogs" | "appCountLogs";

/** Most entries of one answer, as the Python SDK has it. */
const MAX_FETCHED = 20_000;

export function logRpcs({ logs, apps }: Services): Handlers<Names> {
  /** The kept entries of a time range that fit the request. */
  function found(request: Request<"appFetchLogs"> | Request<"appCountLogs">): LogEntry[] {
    const { appId, searchText } = request;
    const [since, until] = [milliseconds(request.since) ?? 0, milliseconds(request.until) ?? Infinity];
    return logs
      .after(apps.get(appId).id, "")
      .filter(({ at }) => at >= since && at < until)
      .filter((entry) => isWanted(entry, { inputId: "", ...request, fileDescriptor: request.source }))
      .filter(({ text }) => text !== "" && text.includes(searchText));
  }

  return {
    async *appGetLogs(request, { signal }) {
      const { appId, timeout } = request;
      apps.get(appId);
      const deadline = performance.now() + timeout * 1000;
      let { lastEntryId } = request;
      for (;;) {
        const isStopped = apps.get(appId).state === AppState.STOPPED;
        for (const entry of logs.after(appId, lastEntryId)) {
          lastEntryId = entry.id;
          if (isWanted(entry, request)) yield batch(entry);
        }
        if (isStopped) {
          yield { appDone: true, entryId: lastEntryId };
          return;
        }
        const leftMs = deadline - performance.now();
        if (leftMs <= 0 || signal.aborted) return;
        await logs.changed(appId, request.functionCallId, leftMs, signal);
      }
    },

    /** The newest entries, in their order. */
    async appFetchLogs(request) {
      const limit = request.limit === 0 ? MAX_FETCHED : Math.min(request.limit, MAX_FETCHED);
      return { batches: found(request).slice(-limit).map(batch) };
    },

    async appCountLogs(request) {
      const bucketMs = Math.max(1, request.bucketSecs) * 1000;
      const counts = new Map<number, { stdoutLogs: number; stderrLogs: number; systemLogs: number }>();
      for (const { at, fileDescriptor } of found(request)) {
        const start = Math.floor(at / bucketMs) * bucketMs;
        const bucket = counts.get(start) ?? { stdoutLogs: 0, stderrLogs: 0, systemLogs: 0 };
        counts.set(start, bucket);
        if (fileDescriptor === FileDescriptor.STDOUT) bucket.stdoutLogs += 1;
        else if (fileDescriptor === FileDescriptor.STDERR) bucket.stderrLogs += 1;
        else bucket.systemLogs += 1;
      }
      const buckets = [...counts].map(([start, bucket]) => ({ bucketStartAt: timestamp(start), ...bucket }));
      return { appId: request.appId, buckets };
    },
  };
}

interface Filter {
  readonly functionId: string;
  readonly functionCallId: string;
  readonly inputId: string;
  readonly fileDescriptor: number;
}

function isWanted(entry: LogEntry, request: Filter): boolean {
  const { functionId, functionCallId, inputId, fileDescriptor } = request;
  return (
    (functionId === "" || functionId === entry.functionId) &&
    (functionCallId === "" || functionCallId === entry.callId) &&
    (inputId === "" || inputId === entry.inputId) &&
    (fileDescriptor === 0 || fileDescriptor === entry.fileDescriptor)
  );
}

function batch(entry: LogEntry) {
  const item = {
    data: entry.text,
    fileDescriptor: entry.fileDescriptor,
    timestamp: entry.at / 1000,
    timestampNs: `${entry.at}000000`,
    functionCallId: entry.callId,
    inputId: entry.inputId,
    taskState: entry.taskState ?? 0,
  };
  return { entryId: entry.id, functionId: entry.functionId, inputId: entry.inputId, items: [item] };
}
