/** Only file that loads OpenTelemetry's SDK; imported when traces have a destination. */
import { ROOT_CONTEXT } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { ExportResultCode, parseKeyPairsIntoRecord, W3CTraceContextPropagator } from "@opentelemetry/core";
import { defaultResource, resourceFromAttributes } from "@opentelemetry/resources";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { TracingSettings } from "../../config/tracing.ts";
import type { Tracing, TracingOptions } from "../trace-contract.ts";
import { type Carriers, jobTracing } from "./job-tracing.ts";

/**
 * Longest time for closing, and for one attempt to send. Nobody should wait longer for a command because a
 * collector does not answer; a stopping worker has handed its jobs back by then.
 */
const CLOSE_MS = { worker: 5000, api: 2000, client: 2000 } as const;

/**
 * Opens tracing with a provider of its own. Nothing global is touched, so a program that imports this package
 * keeps its own OpenTelemetry set-up.
 */
export async function openOtelTracing(settings: TracingSettings, options: TracingOptions): Promise<Tracing> {
  const exporter = reporting(
    new OTLPTraceExporter({
      url: settings.url,
      timeoutMillis: CLOSE_MS[options.role],
      headers: parseKeyPairsIntoRecord(settings.headers),
    }),
    settings.url,
    options.onProblem,
  );
  const provider = new TracerProvider({
    sampler: samplerOf(settings),
    resource: defaultResource().merge(
      resourceFromAttributes({
        "service.name": settings.serviceName,
        "service.version": options.version,
        "service.instance.id": randomUUID(),
        "host.name": hostname(),
        "mirumoji.role": options.role,
        ...parseKeyPairsIntoRecord(settings.resource),
      }),
    ),
    spanProcessors: [new BatchSpanProcessor({ exporter, scheduledDelayMillis: settings.delayMs })],
  });
  const tracing = jobTracing(provider.getTracer("mirumoji-worker", options.version), w3cCarriers());
  return {
    ...tracing,
    async close() {
      const limit = new AbortController();
      const late = sleep(CLOSE_MS[options.role], undefined, { signal: limit.signal }).catch(() => undefined);
      // A collector that does not answer costs spans, never more time than this limit.
      await Promise.race([provider.shutdown().catch(() => undefined), late]);
      limit.abort();
    },
  };
}

function samplerOf({ sampler, share }: TracingSettings): Sampler {
  const name = sampler.replace("parentbased_", "");
  const root =
    name === "always_on"
      ? new AlwaysOnSampler()
      : name === "always_off"
        ? new AlwaysOffSampler()
        : new TraceIdRatioBasedSampler(share);
  return name === sampler ? root : new ParentBasedSampler({ root });
}

/** Wraps an exporter to report once when sending begins to fail, and once when it works again. */
function reporting(exporter: SpanExporter, url: string, onProblem: (message: string) => void): SpanExporter {
  const { host } = new URL(url);
  let isFailing = false;
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        const failed = result.code !== ExportResultCode.SUCCESS;
        if (failed && !isFailing) {
          const why = result.error?.message ?? "";
          onProblem(`traces cannot be sent to ${host}${why === "" ? "" : ` (${why})`}; jobs go on without`);
        }
        if (!failed && isFailing) onProblem(`traces are sent to ${host} again`);
        isFailing = failed;
        done(result);
      }),
    shutdown: async () => await exporter.shutdown(),
    forceFlush: async () => await exporter.forceFlush?.(),
  };
}

/** W3C trace context as JSON, the format of bullmq-otel. */
function w3cCarriers(): Carriers {
  const propagator = new W3CTraceContextPropagator();
  return {
    write(context) {
      const fields: Record<string, string> = {};
      propagator.inject(context, fields, {
        set: (carrier: Record<string, string>, key, value) => {
          carrier[key] = value;
        },
      });
      return Object.keys(fields).length === 0 ? null : JSON.stringify(fields);
    },
    read(carrier) {
      return propagator.extract(ROOT_CONTEXT, carrier, {
        get: (fields: Record<string, string>, key) => fields[key],
        keys: (fields: Record<string, string>) => Object.keys(fields),
      });
    },
  };
}
