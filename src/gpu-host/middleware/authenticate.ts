import {
  type Metadata,
  type ServerInterceptor,
  ServerInterceptingCall,
  ServerListenerBuilder,
} from "@grpc/grpc-js";
import { ServerError, Status } from "nice-grpc";
import { ClientType } from "../enums.ts";
import { failedPrecondition, unauthenticated } from "../failures.ts";
import { rpcName } from "../protocol.ts";
import { same, type Signer } from "../signer.ts";

/**
 * Lets in clients that have the token and are of a kind that the host knows. The headers decide, before anything of the
 * message is read: a stranger costs no memory.
 */
export function authenticate(options: {
  tokenId: string;
  tokenSecret: string;
  signer: Signer;
}): ServerInterceptor {
  function check(rpc: string, metadata: Metadata): void {
    const header = (name: string) => String(metadata.get(name)[0] ?? "");
    if (header("x-modal-client-type") === "" || header("x-modal-client-version") === "") {
      throw failedPrecondition("x-modal-client-type and x-modal-client-version are needed");
    }
    const id = same(header("x-modal-token-id"), options.tokenId);
    const secret = same(header("x-modal-token-secret"), options.tokenSecret);
    if (!id || !secret) throw unauthenticated("The token is not the one of this GPU host");
    const clientType = Number(header("x-modal-client-type"));
    if (clientType === ClientType.PYTHON) return;
    if (clientType !== ClientType.JAVASCRIPT)
      throw failedPrecondition(`Client type ${clientType} is not served`);
    const hasSession = options.signer.jwtIsValid(header("x-modal-auth-token"));
    if (rpc !== "authTokenGet" && !hasSession)
      throw unauthenticated("The x-modal-auth-token is missing or stale");
  }

  return ({ path }, call) =>
    new ServerInterceptingCall(call, {
      start: (next) => {
        const listener = new ServerListenerBuilder().withOnReceiveMetadata((metadata, letIn) => {
          try {
            check(rpcName(path), metadata);
          } catch (error) {
            const { code, details } =
              error instanceof ServerError ? error : { code: Status.INTERNAL, details: "" };
            return call.sendStatus({ code, details });
          }
          letIn(metadata);
        });
        next(listener.build());
      },
    });
}
