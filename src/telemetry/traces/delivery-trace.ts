import {
  type Attributes,
  type Context,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer,
} from "@opentelemetry/api";
import { ERRORS, isErrorCode } from "../../job/errors.ts";
import type { JobEvents } from "../../job/events.ts";
import type { TracedDelivery, TracedRpc } from "../trace-contract.ts";
import type { ActiveTrace } from "./active.ts";
import { jobAttributes } from "./attributes.ts";

/** Polling RPCs, which repeat for hours: counted instead of traced, unless they fail. */
const POLLS = new Set(["FunctionGetOutputs", "AppGetLogs", "AppFetchLogs"]);

/** Outcomes that are no errors; a cancel request and a deploy are not. */
const NO_ERRORS = new Set(["done", "pending", "cancelled", "interrupted"]);

/** Way in which a worker ends its work on a job. */
export type Parting = "complete" | "fail" | "cancel" | "delay" | "release" | "leave";

/**
 * Spans that one worker adds to the trace of a job. The receive span ends before the work begins: one that
 * lasted as long as the work would die with a killed worker and leave the others without their parent.
 */
export class DeliveryTrace implements ActiveTrace {
  readonly #tracer: Tracer;
  readonly #delivery: TracedDelivery;
  /** Context of the job in its trace. */
  readonly #home: Context;
  readonly #receive: Span;
  readonly #received: Context;
  #isReceiving = true;
  #isOver = false;
  #step: { readonly state: string; readonly span: Span; polls: number } | null = null;
  /** IDs of the job's volume and call, once known. */
  #remote: Attributes = {};

  constructor(tracer: Tracer, delivery: TracedDelivery, home: Context) {
    this.#tracer = tracer;
    this.#delivery = delivery;
    this.#home = home;
    const options = {
      kind: SpanKind.CONSUMER,
      attributes: { ...jobAttributes(delivery, "receive", "receive"), "mirumoji.crashes": delivery.crashes },
    };
    this.#receive = tracer.startSpan(`receive ${delivery.queue}`, options, home);
    this.#received = trace.setSpan(home, this.#receive);
  }

  /** Ends the receive span: the checkpoint is loaded. */
  received(resumedAt: string | null): void {
    if (resumedAt !== null) this.#receive.setAttribute("mirumoji.resumed_at", resumedAt);
    this.#endReceive();
  }

  /**
   * Starts a step's span. A state that polls starts its step at every poll, which all share one span. The
   * work before the first poll has a span of its own, so that it is not lost with a killed worker.
   */
  startStep(state: string, attempt: number): void {
    const isSame = this.#step?.state === state;
    if (isSame && this.#step !== null && this.#step.polls > 0) return;
    this.endStep({ outcome: isSame ? "pending" : "abandoned", code: null });
    const attributes = { "mirumoji.state": state, "mirumoji.attempt": attempt, ...this.#remote };
    this.#step = {
      state,
      span: this.#tracer.startSpan(state, { attributes }, this.#received),
      polls: 0,
    };
  }

  endStep({ outcome, code }: { readonly outcome: string; readonly code: string | null }): void {
    if (this.#step === null) return;
    const { span, polls } = this.#step;
    span.setAttribute("mirumoji.outcome", outcome);
    if (polls > 0) span.setAttribute("mirumoji.polls", polls);
    if (!NO_ERRORS.has(outcome)) markFailed(span, code);
    span.end();
    this.#step = null;
  }

  /** Records a failed best-effort action; the state goes on. */
  note(name: string, attributes: Attributes): void {
    this.#step?.span.addEvent(name, attributes);
  }

  remember(ids: { readonly volumeId: string | null; readonly callId: string | null }): void {
    this.#remote = {
      ...(ids.volumeId === null ? {} : { "mirumoji.volume.id": ids.volumeId }),
      ...(ids.callId === null ? {} : { "mirumoji.call.id": ids.callId }),
    };
  }

  /** Adds the span of the GPU call from opening to end, whichever worker opened it. */
  call({ callId, outcome, totalMs, runMs }: JobEvents["call.finished"]): void {
    const now = Date.now();
    const span = this.#tracer.startSpan(
      "gpu call",
      {
        startTime: now - (totalMs ?? runMs ?? 0),
        attributes: {
          "mirumoji.call.id": callId,
          "mirumoji.outcome": outcome,
          ...(runMs === null ? {} : { "mirumoji.call.run_seconds": runMs / 1000 }),
        },
      },
      this.#home,
    );
    if (outcome === "failed" || outcome === "lost") markFailed(span, null);
    span.end(now);
  }

  transfer(direction: string): Span {
    const attributes = { "mirumoji.transfer.direction": direction };
    return this.#tracer.startSpan(`transfer ${direction}`, { attributes }, this.#here());
  }

  rpc({ path, code, ms }: TracedRpc): void {
    // Work that was started for this job and outlives it (an app's heartbeat) is not traced.
    if (this.#isOver) return;
    const isOk = code === "OK";
    if (isOk && this.#step !== null && POLLS.has(path.slice(path.lastIndexOf("/") + 1))) {
      this.#step.polls += 1;
      return;
    }
    const now = Date.now();
    const status = code === "ABORTED_BY_US" ? "CANCELLED" : code;
    const attributes = { "rpc.system.name": "grpc", "rpc.method": path, "rpc.status_code": status };
    const span = this.#tracer.startSpan(
      path,
      { kind: SpanKind.CLIENT, startTime: now - ms, attributes },
      this.#here(),
    );
    if (!isOk && code !== "ABORTED_BY_US") {
      span.setAttribute("error.type", code);
      span.setStatus({ code: SpanStatusCode.ERROR });
    }
    span.end(now);
  }

  part(how: Parting, code: string | null, attributes: Attributes = {}): void {
    this.endStep({ outcome: "abandoned", code });
    const span = this.#tracer.startSpan(
      `${how} ${this.#delivery.queue}`,
      {
        kind: SpanKind.CLIENT,
        attributes: { ...jobAttributes(this.#delivery, how, "settle"), ...attributes, ...this.#remote },
      },
      this.#received,
    );
    if (how === "fail" || how === "leave") markFailed(span, code);
    else if (code !== null) span.setAttribute("mirumoji.code", code);
    span.end();
  }

  end(): void {
    this.#isOver = true;
    this.#endReceive();
    this.endStep({ outcome: "abandoned", code: null });
  }

  logFields(): Record<string, string> {
    if (this.#isOver) return {};
    const { traceId, spanId } = (this.#step?.span ?? this.#receive).spanContext();
    return { trace_id: traceId, span_id: spanId };
  }

  #here(): Context {
    return this.#step === null ? this.#received : trace.setSpan(this.#received, this.#step.span);
  }

  #endReceive(): void {
    if (this.#isReceiving) this.#receive.end();
    this.#isReceiving = false;
  }
}

/**
 * Marks a span as failed, with our code and its meaning. The message stays in the log, because it may hold
 * output of the function.
 */
function markFailed(span: Span, code: string | null): void {
  span.setAttribute("error.type", code ?? "_OTHER");
  span.setStatus({
    code: SpanStatusCode.ERROR,
    ...(isErrorCode(code) ? { message: `${code}: ${ERRORS[code].meaning}` } : {}),
  });
}
