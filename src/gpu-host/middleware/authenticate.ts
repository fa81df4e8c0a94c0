import type { CallContext, ServerMiddlewareCall } from "nice-grpc";
import { ClientType } from "../enums.ts";
import { failedPrecondition, unauthenticated } from "../failures.ts";
import { rpcName } from "../protocol.ts";
import { same, type Signer } from "../signer.ts";

/** Lets in only who has the token, as a client that the host knows how to talk to. */
export function authenticate(options: { tokenId: string; tokenSecret: string; signer: Signer }) {
  function check(rpc: string, { metadata }: CallContext): void {
    const header = (name: string) => String(metadata.get(name) ?? "");
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

  return async function* authenticated<Request, Response>(
    call: ServerMiddlewareCall<Request, Response>,
    context: CallContext,
  ) {
    check(rpcName(call.method.path), context);
    return yield* call.next(call.request as Request, context);
  };
}
