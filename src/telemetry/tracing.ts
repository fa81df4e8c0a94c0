import type { TracingSettings } from "../config/tracing.ts";
import type { Tracing, TracingOptions } from "./trace-contract.ts";

/** Traces nothing and costs nothing. */
export const NO_TRACING: Tracing = {
  submit: async (_job, send) => await send(undefined),
  traceCommand: async (_command, _job, _find, act) => await act(() => undefined),
  deliver: async (_delivery, run) => await run(),
  subscriber: () => undefined,
  watchTransfer: () => ({ moved: () => undefined, end: () => undefined }),
  observeRpc: () => undefined,
  close: async () => await Promise.resolve(),
};

/** Opens tracing. Without settings nothing of OpenTelemetry is loaded. */
export async function openTracing(
  settings: TracingSettings | null,
  options: TracingOptions,
): Promise<Tracing> {
  if (settings === null) return NO_TRACING;
  const { openOtelTracing } = await import("./traces/sdk.ts");
  return openOtelTracing(settings, options);
}
