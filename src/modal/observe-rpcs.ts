import { type ClientMiddleware, ClientError, Status } from "nice-grpc";

/** One finished RPC. */
export interface RpcEvent {
  /** As in the protocol, for example `FunctionGetOutputs`. */
  readonly method: string;
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
      const method = call.method.path.slice(call.method.path.lastIndexOf("/") + 1);
      onRpc?.({ method, code, ms: performance.now() - startedAt });
    }
  };
}
