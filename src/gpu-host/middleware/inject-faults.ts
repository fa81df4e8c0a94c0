import { setTimeout as sleep } from "node:timers/promises";
import { type CallContext, ServerError, type ServerMiddlewareCall, Status } from "nice-grpc";
import type { Faults } from "../faults.ts";
import { encodeRetryPolicy, rpcName } from "../protocol.ts";

/** Makes RPCs fail as a test ordered. */
export function injectFaults(faults: Faults) {
  function throttle(rpc: string, context: CallContext): void {
    const fault = faults.throttle(rpc);
    if (fault === undefined) return;
    const message = `Slow down: ${rpc}`;
    const details = encodeRetryPolicy(Status.RESOURCE_EXHAUSTED, message, fault.retryAfterSecs);
    context.trailer.set("grpc-status-details-bin", details);
    throw new ServerError(Status.RESOURCE_EXHAUSTED, message);
  }

  return async function* faulty<Request, Response>(
    call: ServerMiddlewareCall<Request, Response>,
    context: CallContext,
  ) {
    const rpc = rpcName(call.method.path);
    const request = call.request as Request;
    const latencyMs = faults.latencyMs(rpc);
    if (latencyMs > 0) await sleep(latencyMs, undefined, { signal: context.signal });
    throttle(rpc, context);
    const failure = faults.status(rpc);
    const ordered = (when: string) =>
      new ServerError(failure?.code ?? Status.UNKNOWN, `Ordered fault ${when} ${rpc}`);
    if (failure !== undefined && !failure.lostAnswer) throw ordered("before");
    if (!call.responseStream) {
      const response = yield* call.next(request, context);
      if (failure !== undefined) throw ordered("after");
      return response;
    }
    const cut = faults.cut(rpc);
    let sent = 0;
    for await (const message of call.next(request, context)) {
      if (sent === cut?.cutAfter) throw new ServerError(Status.UNAVAILABLE, `Ordered cut of ${rpc}`);
      sent += 1;
      yield message;
    }
    if (cut !== undefined) throw new ServerError(Status.UNAVAILABLE, `Ordered cut of ${rpc}`);
    return undefined;
  };
}
