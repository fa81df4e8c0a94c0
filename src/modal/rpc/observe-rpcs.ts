import { type ClientMiddleware, ClientError, Status } from "nice-grpc";

/** One finished RPC. */
export interface RpcEvent {
  /** As in the protocol, for example `FunctionGetOutputs`. */
  readonly method: string;
  /** With its service, for example `modal.client.ModalClient/FunctionGetOutputs`. */
  readonly path: string;
  /** `OK`, a gRPC status such as `UNAVAILABLE`, or `ABORTED_BY_US`. */
  readonly code: string;
  readonly ms: number;
}

/** Middleware that reports every RPC once. It sits outside the SDK's retries, so it sees logical calls. */
export function observeRpcs(onRpc: ((event: RpcEvent) => void) | undefined): ClientMiddleware {
  return async function* observe(call, options) {
    const startedAt = performance.now();
    let code = "ABORTED_BY_US";
    try {
      const response = yield* call.next(call.request, options);
      code = "OK";
      return response;
    } catch (thrown) {
      if (thrown instanceof ClientError) code = Status[thrown.code] ?? String(thrown.code);
      throw thrown;
    } finally {
      const path = call.method.path.replace(/^\//u, "");
      onRpc?.({
        method: path.slice(path.lastIndexOf("/") + 1),
        path,
        code,
        ms: performance.now() - startedAt,
      });
    }
  };
}
