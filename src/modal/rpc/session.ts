import type { ModalClient as ModalClientType } from "modal";
import { observeRpcs, type RpcEvent } from "./observe-rpcs.ts";
import { ModalClient } from "./sdk.ts";

/** Modal's control plane, every RPC typed. */
export type ControlPlane = ModalClientType["cpClient"];

export interface ModalSessionOptions {
  /** `https://api.modal.com:443`, or a GPU host such as `http://127.0.0.1:7077`. */
  readonly serverUrl: string;
  readonly tokenId: string;
  readonly tokenSecret: string;
  /** Modal environment; the token's default one when left out. */
  readonly environment?: string;
  /**
   * How long one RPC may follow the server's requests to slow down before it fails with
   * `MODAL_THROTTLED`, in seconds. 0 fails at once.
   *
   * @defaultValue 10, well under the deadline of every RPC (the SDK's own default is forever)
   */
  readonly maxThrottleWaitSecs?: number;
  /** Called once for each RPC, retries included in its time. */
  readonly onRpc?: (event: RpcEvent) => void;
  /** Called with warnings of the server and the SDK. */
  readonly onWarning?: (message: string) => void;
}

/** An authenticated connection to Modal's control plane. */
export interface ModalSession {
  readonly cpClient: ControlPlane;
  /** Empty for the token's default environment. */
  readonly environment: string;
  /** Goes on with another token, on a connection of its own; requests under way keep the old one. */
  renew(token: { readonly tokenId: string; readonly tokenSecret: string }): void;
  /** Tells whoever opened the session of something that works, but not as it should. */
  warn(message: string): void;
  /** Forgets the token. The SDK cannot close its channel; an idle one does not keep the process alive. */
  close(): void;
}

/** Opens a session. Nothing is sent before the first RPC. */
export function openModalSession(options: ModalSessionOptions): ModalSession {
  const { environment = "", onWarning } = options;
  let client = openClient(options);
  return {
    get cpClient() {
      return client.cpClient;
    },
    environment,
    renew: (token) => {
      client.close();
      client = openClient({ ...options, ...token });
    },
    warn: (message) => onWarning?.(message),
    close: () => client.close(),
  };
}

/**
 * Opens the SDK's client.
 *
 * The SDK takes its server only from the environment (`ModalClientParams.endpoint` is declared and
 * ignored, `modal-wire` 1.4), and reads it while it is constructed; so does gRPC with its proxy. So these
 * variables are set for the length of the constructor, which is synchronous, and put back.
 */
function openClient(options: ModalSessionOptions): ModalClientType {
  const { serverUrl, tokenId, tokenSecret, environment, onRpc, onWarning } = options;
  const variables = { MODAL_SERVER_URL: serverUrl, ...withoutProxy(new URL(serverUrl).hostname) };
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, variables);
  try {
    return new ModalClient({
      tokenId,
      tokenSecret,
      ...(environment === undefined ? {} : { environment }),
      maxThrottleWaitSecs: options.maxThrottleWaitSecs ?? 10,
      grpcMiddleware: [observeRpcs(onRpc)],
      logger: {
        debug: ignore,
        info: ignore,
        warn: (message) => onWarning?.(message),
        error: (message) => onWarning?.(message),
      },
    });
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

/** Bypasses the environment's proxy for loopback servers, which a proxy cannot reach. */
function withoutProxy(hostname: string): Record<string, string> {
  const host = hostname.replace(/^\[|\]$/gu, "");
  const isLoopback = host === "localhost" || host === "::1" || host.startsWith("127.");
  return isLoopback ? { no_grpc_proxy: host } : {};
}

function ignore(): void {}
