import { toMirumojiError } from "../../job/errors.ts";
import { statusOf } from "./grpc-errors.ts";
import { unary } from "./rpc.ts";
import type { ModalSession } from "./session.ts";

const TIMEOUT_MS = 10_000;

/** The place where a session's volumes and calls live. */
export interface PlatformIdentity {
  /** ID of the environment, which no other server and no other workspace has. */
  readonly id: string;
  /** For people. */
  readonly name: string;
}

/**
 * Asks the server who it is; null from one that cannot say: GPU hosts before this version call every environment `en-`
 * and its name.
 *
 * @throws MirumojiError `MODAL_UNAVAILABLE`, `MODAL_UNAUTHENTICATED`, `MODAL_REFUSED`
 */
export async function identify(session: ModalSession, serverUrl: string): Promise<PlatformIdentity | null> {
  const request = { deploymentName: session.environment };
  try {
    const { environmentId, metadata } = await unary(session, "environmentGetOrCreate", request, {
      timeoutMs: TIMEOUT_MS,
    });
    const environment = metadata?.name ?? session.environment;
    if (environmentId === "" || environmentId === `en-${environment}`) return null;
    return {
      id: environmentId,
      name: `environment ${environment} (${environmentId}) of ${new URL(serverUrl).host}`,
    };
  } catch (thrown) {
    if (statusOf(thrown) === "UNIMPLEMENTED") return null;
    throw toMirumojiError(thrown);
  }
}
