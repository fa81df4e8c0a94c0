import { AppState } from "../enums.ts";
import type { LogEntry } from "../run/logs.ts";
import type { Services } from "../services.ts";
import type { Handlers, Request } from "../wire.ts";

export function logRpcs({ logs, apps }: Services): Handlers<"appGetLogs"> {
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
  };
}

function isWanted(entry: LogEntry, request: Request<"appGetLogs">): boolean {
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
