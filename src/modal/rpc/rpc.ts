import { Metadata } from "nice-grpc";
import { orAborted, throwIfAborted } from "./abort.ts";
import { type StatusCodes, translateRpcError } from "./grpc-errors.ts";
import { retryAfterMs } from "./retry-policy.ts";
import type { ControlPlane, ModalSession } from "./session.ts";

/** Total time of an RPC, the SDK's retries included, where the caller says nothing else. */
const RPC_TIMEOUT_MS = 30_000;

export type UnaryRpc = {
  [K in keyof ControlPlane]: ReturnType<ControlPlane[K]> extends Promise<unknown> ? K : never;
}[keyof ControlPlane];
export type StreamingRpc = Exclude<keyof ControlPlane, UnaryRpc>;
export type RequestOf<K extends keyof ControlPlane> = Parameters<ControlPlane[K]>[0];
export type ResponseOf<K extends UnaryRpc> = Awaited<ReturnType<ControlPlane[K]>>;
export type ItemOf<K extends StreamingRpc> =
  ReturnType<ControlPlane[K]> extends AsyncIterable<infer Item> ? Item : never;

export interface RpcOptions {
  readonly signal?: AbortSignal | undefined;
  /** Total time in milliseconds, retries included. The SDK itself sets no deadline anywhere. */
  readonly timeoutMs?: number;
  /** Statuses with another meaning for this RPC than in the general table. */
  readonly codes?: StatusCodes;
}

export interface UnaryOptions extends RpcOptions {
  /** Extra request headers; servers ignore those that they do not know. */
  readonly hints?: Readonly<Record<string, string>>;
  /** Given the headers of the answer. */
  readonly onHeader?: (header: Metadata) => void;
}

interface RawOptions {
  readonly timeoutMs: number;
  readonly metadata?: Metadata;
  readonly signal?: AbortSignal;
  readonly onHeader?: (header: Metadata) => void;
  readonly onTrailer?: (trailer: { get(key: string): string | Uint8Array | undefined }) => void;
}

/**
 * Calls one RPC with a deadline. Transient failures were retried by the SDK, with one idempotency key,
 * by the time this throws. An abort is noticed at once, even while the SDK waits for its token.
 *
 * @throws MirumojiError, translated by `translateRpcError`
 */
export async function unary<K extends UnaryRpc>(
  session: ModalSession,
  rpc: K,
  request: RequestOf<K>,
  { signal, timeoutMs = RPC_TIMEOUT_MS, codes, hints, onHeader }: UnaryOptions = {},
): Promise<ResponseOf<K>> {
  let details: string | Uint8Array | undefined;
  const method = session.cpClient[rpc] as (
    request: RequestOf<K>,
    options: RawOptions,
  ) => Promise<ResponseOf<K>>;
  throwIfAborted(signal);
  try {
    const answer = method(request, {
      timeoutMs,
      ...(signal === undefined ? {} : { signal }),
      ...(hints === undefined ? {} : { metadata: Metadata(hints) }),
      ...(onHeader === undefined ? {} : { onHeader }),
      onTrailer: (trailer) => {
        details = trailer.get("grpc-status-details-bin");
      },
    });
    return await orAborted(answer, signal);
  } catch (thrown) {
    throw translateRpcError(nameOf(rpc), thrown, {
      signal,
      codes,
      retryAfterMs: typeof details === "string" ? undefined : retryAfterMs(details),
    });
  }
}

/**
 * Yields the items of one streaming RPC. The SDK never retries streams: the caller resumes after the last item.
 *
 * @throws MirumojiError, translated by `translateRpcError`
 */
export async function* serverStream<K extends StreamingRpc>(
  session: ModalSession,
  rpc: K,
  request: RequestOf<K>,
  { signal, timeoutMs = RPC_TIMEOUT_MS, codes }: RpcOptions = {},
): AsyncGenerator<ItemOf<K>, void, undefined> {
  const method = session.cpClient[rpc] as (
    request: RequestOf<K>,
    options: RawOptions,
  ) => AsyncIterable<ItemOf<K>>;
  throwIfAborted(signal);
  try {
    yield* method(request, { timeoutMs, ...(signal === undefined ? {} : { signal }) });
  } catch (thrown) {
    throw translateRpcError(nameOf(rpc), thrown, { signal, codes });
  }
}

/** Name of an RPC as the protocol spells it: `FunctionGetOutputs` for `functionGetOutputs`. */
function nameOf(rpc: string): string {
  return rpc.charAt(0).toUpperCase() + rpc.slice(1);
}
