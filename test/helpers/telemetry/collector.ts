import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";
import { z } from "zod";

const exportRequest = protobuf
  .loadSync(fileURLToPath(new URL("otlp.proto", import.meta.url)))
  .lookupType("ExportTraceServiceRequest");

const valueSchema = z.object({
  stringValue: z.string().optional(),
  intValue: z.string().optional(),
  doubleValue: z.number().optional(),
  boolValue: z.boolean().optional(),
});
const attributesSchema = z
  .array(z.object({ key: z.string(), value: valueSchema }))
  .default([])
  .transform((list) =>
    Object.fromEntries(
      list.map(({ key, value }) => [
        key,
        value.stringValue ?? value.doubleValue ?? value.boolValue ?? Number(value.intValue),
      ]),
    ),
  );
const nanoseconds = z.string().transform((text) => Number(BigInt(text) / 1000n) / 1000);
/** An ID, which protobuf.js gives as base64, in hexadecimal digits as everybody writes it. */
const id = z.string().transform((base64) => Buffer.from(base64, "base64").toString("hex"));
const spanSchema = z.object({
  traceId: id,
  spanId: id,
  parentSpanId: id.default(""),
  name: z.string(),
  kind: z.number(),
  startTimeUnixNano: nanoseconds,
  endTimeUnixNano: nanoseconds,
  attributes: attributesSchema,
  status: z.object({ code: z.number().default(0), message: z.string().optional() }).default({ code: 0 }),
});
const exportSchema = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: attributesSchema }),
      scopeSpans: z.array(z.object({ spans: z.array(spanSchema) })),
    }),
  ),
});

type Value = string | number | boolean;

/** A span as the collector got it. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly attributes: Readonly<Record<string, Value>>;
  readonly resource: Readonly<Record<string, Value>>;
  readonly isError: boolean;
  readonly message: string | undefined;
}

/** An OTLP collector over HTTP that keeps what it gets. */
export interface Collector extends AsyncDisposable {
  readonly url: string;
  readonly spans: ReceivedSpan[];
  /** Every request as it came: content type, headers and body. */
  readonly requests: { readonly type: string; readonly headers: string; readonly body: Buffer }[];
}

/** `mute`: takes connections and never answers. */
export async function startCollector({ mute = false } = {}): Promise<Collector> {
  const spans: ReceivedSpan[] = [];
  const requests: Collector["requests"] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      if (mute) return;
      const body = Buffer.concat(chunks);
      const type = request.headers["content-type"] ?? "";
      requests.push({ type, headers: JSON.stringify(request.headers), body });
      if (type === "application/x-protobuf" && request.url === "/v1/traces") spans.push(...spansOf(body));
      response.writeHead(200, { "content-type": type }).end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function spansOf(body: Buffer): ReceivedSpan[] {
  const { resourceSpans } = exportSchema.parse(
    exportRequest.toObject(exportRequest.decode(body), { longs: String, bytes: String }),
  );
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap((scope) =>
      scope.spans.map(({ startTimeUnixNano, endTimeUnixNano, status, ...span }) => ({
        ...span,
        startedAt: startTimeUnixNano,
        endedAt: endTimeUnixNano,
        resource: resource.attributes,
        isError: status.code === 2,
        message: status.message,
      })),
    ),
  );
}
