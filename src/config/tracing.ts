import { z } from "zod";

const text = z.string().min(1);
const endpoint = z.url({ protocol: /^https?$/u, error: "must look like http://host:4318" });

/** OpenTelemetry variables that are supported; part of the schema of the environment. */
export const tracingVariables = {
  OTEL_EXPORTER_OTLP_ENDPOINT: endpoint
    .optional()
    .describe(
      "OTLP collector that gets the jobs' traces, such as `http://collector:4318`. Without it (and the next one) nothing of OpenTelemetry's SDK is loaded.",
    ),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint
    .optional()
    .describe("The same as a whole address, path included, for traces alone."),
  OTEL_EXPORTER_OTLP_PROTOCOL: z
    .enum(["http/protobuf"], "must be http/protobuf, the only one that is built in")
    .default("http/protobuf")
    .describe("How traces are sent; there is no other way."),
  OTEL_EXPORTER_OTLP_HEADERS: text
    .optional()
    .describe("Headers for the collector, as `name=value,name=value`. Never logged."),
  OTEL_SERVICE_NAME: text
    .default("mirumoji-worker")
    .describe("Name of this service in traces; `mirumoji.role` tells workers, API and clients apart."),
  OTEL_RESOURCE_ATTRIBUTES: text
    .optional()
    .describe("What else traces say about this process, as `deployment.environment.name=production,...`."),
  OTEL_TRACES_SAMPLER: z
    .enum([
      "always_on",
      "always_off",
      "traceidratio",
      "parentbased_always_on",
      "parentbased_always_off",
      "parentbased_traceidratio",
    ])
    .default("parentbased_always_on")
    .describe(
      "Which jobs are traced. Whoever starts a trace decides for all of it with the `parentbased_` ones.",
    ),
  OTEL_TRACES_SAMPLER_ARG: z.coerce
    .number("must be a number")
    .min(0)
    .max(1)
    .default(1)
    .describe("Share of the jobs that the samplers with `ratio` take, 0 to 1."),
  OTEL_TRACES_EXPORTER: z.enum(["otlp", "none"]).default("otlp").describe("`none` turns traces off."),
  OTEL_SDK_DISABLED: z
    .enum(["true", "false"])
    .default("false")
    .describe("`true` turns traces off, whatever else is set."),
  OTEL_BSP_SCHEDULE_DELAY: z.coerce
    .number("must be a number")
    .int()
    .min(1)
    .max(600_000)
    .default(5000)
    .describe("How long spans are collected before they are sent, in milliseconds."),
};

const tracingSchema = z.object(tracingVariables);
type TracingVariables = z.output<typeof tracingSchema>;

/** Destination of traces and how they are sent. */
export interface TracingSettings {
  readonly url: string;
  /** `name=value,name=value`, percent-encoded. */
  readonly headers: string;
  readonly serviceName: string;
  /** Same form as `headers`. */
  readonly resource: string;
  readonly sampler: TracingVariables["OTEL_TRACES_SAMPLER"];
  /** 0 to 1. */
  readonly share: number;
  readonly delayMs: number;
}

/** Reads the tracing settings; null when tracing is off. */
export function tracingSettings(variables: TracingVariables): TracingSettings | null {
  const base = variables.OTEL_EXPORTER_OTLP_ENDPOINT;
  const url =
    variables.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ??
    (base === undefined ? undefined : `${base.replace(/\/$/u, "")}/v1/traces`);
  const isOff = variables.OTEL_SDK_DISABLED === "true" || variables.OTEL_TRACES_EXPORTER === "none";
  if (url === undefined || isOff) return null;
  return {
    url,
    headers: variables.OTEL_EXPORTER_OTLP_HEADERS ?? "",
    serviceName: variables.OTEL_SERVICE_NAME,
    resource: variables.OTEL_RESOURCE_ATTRIBUTES ?? "",
    sampler: variables.OTEL_TRACES_SAMPLER,
    share: variables.OTEL_TRACES_SAMPLER_ARG,
    delayMs: variables.OTEL_BSP_SCHEDULE_DELAY,
  };
}
