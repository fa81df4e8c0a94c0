import type { CallContext, ServerMiddlewareCall } from "nice-grpc";

export type OnRequest = (rpc: string, request: unknown) => void;

/** Shows every request to a test, by the RPC's name on the wire. */
export function recordRequests(onRequest: OnRequest) {
  return async function* record<Request, Response>(
    call: ServerMiddlewareCall<Request, Response>,
    context: CallContext,
  ) {
    onRequest(call.method.path.slice(call.method.path.lastIndexOf("/") + 1), call.request);
    return yield* call.next(call.request as Request, context);
  };
}
