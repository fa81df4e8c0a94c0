import { unary } from "./rpc.ts";
import type { ModalSession } from "./session.ts";

const TIMEOUT_MS = 10_000;

/**
 * Asks the server whether it is there and takes the token; changes nothing.
 *
 * @throws MirumojiError `MODAL_UNAVAILABLE`, `MODAL_UNAUTHENTICATED`, `MODAL_REFUSED`
 */
export async function sayHello(session: ModalSession): Promise<void> {
  await unary(session, "clientHello", {}, { timeoutMs: TIMEOUT_MS });
}
