import {
  context,
  type Context,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer,
} from "@opentelemetry/api";
import { z } from "zod";
import { toMirumojiError } from "../../job/errors.ts";
import type { TracedDelivery, Tracing } from "../trace-contract.ts";
import { activeTrace } from "./active.ts";
import { jobAttributes } from "./attributes.ts";
import { DeliveryTrace } from "./delivery-trace.ts";
import { traceSubscriber } from "./trace-subscriber.ts";

/** Encoding of a trace context for other processes. */
export interface Carriers {
  /** Null for a context without a trace. */
  write(context: Context): string | null;
  read(fields: Record<string, string>): Context;
}

/** Traces jobs; sending the spans is the tracer's part. */
export function jobTracing(tracer: Tracer, carriers: Carriers): Omit<Tracing, "close"> {
  const current = () => {
    const live = activeTrace.getStore();
    return live instanceof DeliveryTrace ? live : null;
  };
  /** Parses a carrier; null when it is no valid trace, because other programs can write to this field. */
  const placeOf = (carrier: string | null): Context | null => {
    const found = carrier === null ? null : carriers.read(fieldsOf(carrier));
    const place = found === null ? undefined : trace.getSpanContext(found);
    return found !== null && place !== undefined && isSpanContextValid(place) ? found : null;
  };
  const queued = (delivery: TracedDelivery, parent: Context) =>
    tracer.startSpan(
      "queued",
      { startTime: delivery.submittedAt, attributes: jobAttributes(delivery, "wait") },
      parent,
    );
  /** Context of the job in its trace, the parent of all its spans; the same for every worker. */
  const homeOf = async (delivery: TracedDelivery): Promise<Context> => {
    const given = placeOf(delivery.carrier);
    if (given !== null) {
      if (delivery.isFirst) queued(delivery, given).end();
      return given;
    }
    // The producer traced nothing: the time in the queue becomes the root and is stored with the job.
    const root = queued(delivery, ROOT_CONTEXT);
    const own = trace.setSpan(ROOT_CONTEXT, root);
    const carrier = carriers.write(own) ?? "";
    const kept = await delivery.adopt(carrier).catch(() => carrier);
    if (kept === carrier) root.end();
    return placeOf(kept) ?? own;
  };
  return {
    async submit(job, send) {
      const attributes = jobAttributes(job, "add", "send");
      // A program that imports this package may have an active trace; the job continues it.
      const parent = context.active();
      const span = tracer.startSpan(`add ${job.queue}`, { kind: SpanKind.PRODUCER, attributes }, parent);
      const carrier = carriers.write(trace.setSpan(parent, span)) ?? undefined;
      return await ending(span, async () => await send(carrier));
    },
    async traceCommand(command, job, find, act) {
      const home = placeOf(await find().catch(() => null));
      if (home === null) return await act(() => undefined);
      const span = tracer.startSpan(
        `${command} ${job.queue}`,
        { kind: SpanKind.CLIENT, attributes: jobAttributes(job, command) },
        home,
      );
      return await ending(
        span,
        async () => await act((answer) => span.setAttribute("mirumoji.answer", answer)),
      );
    },
    async deliver(delivery, run) {
      const live = new DeliveryTrace(tracer, delivery, await homeOf(delivery));
      try {
        return await activeTrace.run(live, run);
      } finally {
        live.end();
      }
    },
    subscriber: traceSubscriber(current),
    observeRpc: (rpc) => current()?.rpc(rpc),
    watchTransfer: (direction) => {
      const span = current()?.transfer(direction);
      let bytes = 0;
      return {
        moved: (more) => {
          bytes += Math.max(0, more);
        },
        end: (outcome, savedBytes = 0) => {
          span?.setAttributes({
            "mirumoji.outcome": outcome,
            "mirumoji.transfer.bytes": bytes,
            "mirumoji.transfer.saved_bytes": Math.max(0, savedBytes),
          });
          if (outcome === "failed") span?.setStatus({ code: SpanStatusCode.ERROR });
          span?.end();
        },
      };
    },
  };
}

const fieldsSchema = z.record(z.string(), z.string());

function fieldsOf(carrier: string): Record<string, string> {
  try {
    return fieldsSchema.safeParse(JSON.parse(carrier)).data ?? {};
  } catch {
    return {};
  }
}

async function ending<T>(span: Span, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    span.setAttribute("error.type", toMirumojiError(error).code);
    span.setStatus({ code: SpanStatusCode.ERROR });
    throw error;
  } finally {
    span.end();
  }
}
