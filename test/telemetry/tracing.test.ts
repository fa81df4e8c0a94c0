import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { loadEnvironment } from "../../src/config/load.ts";
import { tracingSettings } from "../../src/config/tracing.ts";
import { activeTrace, traceFields } from "../../src/telemetry/traces/active.ts";
import type { TracedDelivery } from "../../src/telemetry/trace-contract.ts";
import { NO_TRACING, openTracing } from "../../src/telemetry/tracing.ts";
import { type Collector, startCollector } from "../helpers/telemetry/collector.ts";

const settings = (variables: Record<string, string>) => tracingSettings(loadEnvironment(variables));

async function open(collector: Collector, more: Record<string, string> = {}) {
  const problems: string[] = [];
  const wanted = settings({
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    ...more,
  });
  const tracing = await openTracing(wanted, {
    role: "worker",
    version: "1.2.3",
    onProblem: (message) => problems.push(message),
  });
  return { tracing, problems };
}

const delivery = (changes: Partial<TracedDelivery> = {}): TracedDelivery => ({
  queue: "convert",
  jobId: "j1",
  carrier: null,
  adopt: async (carrier) => await Promise.resolve(carrier),
  isFirst: true,
  crashes: 0,
  submittedAt: Date.now() - 100,
  ...changes,
});
const identity = { jobId: "j1", type: "convert" } as const;
const rpc = { path: "modal.client.ModalClient/AppHeartbeat", code: "OK", ms: 1 };

describe("where traces go", () => {
  it("is the endpoint with the path for traces, or the one for traces as it is", () => {
    const endpoint = "https://collector:4318/otlp/";
    expect(settings({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint })?.url).toBe(
      "https://collector:4318/otlp/v1/traces",
    );
    const both = {
      OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://t:1/x",
    };
    expect(settings(both)?.url).toBe("http://t:1/x");
  });

  it.each([
    [{}],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "" }],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://c:1", OTEL_SDK_DISABLED: "true" }],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://c:1", OTEL_TRACES_EXPORTER: "none" }],
  ])("is nowhere with %j", async (variables) => {
    const none = { role: "worker", version: "", onProblem: () => undefined } as const;
    expect(await openTracing(settings(variables as Record<string, string>), none)).toBe(NO_TRACING);
  });
});

describe("sampling", () => {
  it.each([
    { OTEL_TRACES_SAMPLER: "always_off" },
    { OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: "0" },
  ])("leaves a job out in every process: %j", async (sampler) => {
    await using collector = await startCollector();
    const { tracing } = await open(collector, sampler);
    const carrier = await tracing.submit(
      { queue: "convert", jobId: "j1" },
      async (given) => await Promise.resolve(given ?? null),
    );
    expect(carrier).toMatch(/-00"/u);
    await tracing.close();
    // A worker that traces everything else follows the decision of the trace's first process.
    const worker = await open(collector);
    await worker.tracing.deliver(delivery({ carrier }), async () => {
      worker.tracing.subscriber("job.started", { ...identity, waitedMs: 0, resumedAt: null });
      await Promise.resolve();
    });
    await worker.tracing.close();
    expect(collector.requests).toEqual([]);
  });
});

describe("a delivery", () => {
  it.each(["", "{", "[]", "null", '{"traceparent":"00-x-y-01"}', '{"traceparent":7}'])(
    "with %j for a trace begins one, whatever Redis says",
    async (carrier) => {
      await using collector = await startCollector();
      const { tracing } = await open(collector);
      const adopt = async () => await Promise.reject(new Error("Redis is away"));
      expect(await tracing.deliver(delivery({ carrier, adopt }), async () => await Promise.resolve(7))).toBe(
        7,
      );
      await tracing.close();
      const [queued, receive] = collector.spans;
      expect(collector.spans.map(({ name }) => name)).toEqual(["queued", "receive convert"]);
      expect(receive?.parentSpanId).toBe(queued?.spanId);
      expect((queued?.endedAt ?? 0) - (queued?.startedAt ?? 0)).toBeGreaterThan(90);
    },
  );

  it("is over when it is over, for whatever goes on in the background", async () => {
    await using collector = await startCollector();
    const { tracing } = await open(collector);
    const over = new AbortController();
    const afterwards = async () => {
      await once(over.signal, "abort");
      expect(activeTrace.getStore()).toBeDefined();
      expect(traceFields()).toEqual({});
      tracing.observeRpc(rpc);
    };
    const background = await tracing.deliver(delivery(), async () => {
      tracing.observeRpc(rpc);
      expect(traceFields()).toMatchObject({ trace_id: expect.stringMatching(/^\w{32}$/u) });
      return await Promise.resolve({ done: afterwards() });
    });
    over.abort();
    await background.done;
    tracing.observeRpc(rpc);
    await tracing.close();
    expect(collector.spans.filter(({ name }) => name === rpc.path)).toHaveLength(1);
  });

  it("marks what went wrong with its code and what that means, never with its message", async () => {
    await using collector = await startCollector();
    const { tracing } = await open(collector);
    await tracing.deliver(delivery(), async () => {
      const step = { ...identity, state: "call", attempt: 2 } as const;
      const message = "Traceback: the film says HELLO";
      tracing.subscriber("step.started", step);
      tracing.observeRpc({ ...rpc, code: "UNAVAILABLE" });
      tracing.watchTransfer("download").end("failed");
      const wrong = { code: "FUNCTION_FAILED", message, cause: new Error(message) } as const;
      tracing.subscriber("step.finished", { ...step, ...wrong, outcome: "permanent", ms: 1 });
      tracing.subscriber("job.abandoned", { ...identity, message, cause: new Error(message) });
      await Promise.resolve();
    });
    await tracing.close();
    expect(collector.requests.map(({ body }) => body.toString()).join("")).not.toMatch(/HELLO|Traceback/u);
    const wrong = collector.spans.filter(({ isError }) => isError);
    expect(wrong.map(({ name, attributes }) => [name, attributes["error.type"]])).toEqual([
      [rpc.path, "UNAVAILABLE"],
      ["transfer download", undefined],
      ["call", "FUNCTION_FAILED"],
      ["leave convert", "UNEXPECTED"],
    ]);
    expect(wrong[2]?.message).toBe("FUNCTION_FAILED: The remote function raised an exception.");
  });
});
