import { connect } from "node:net";
import type { MirumojiError } from "../../job/errors.ts";
import { StoreUnreachableError } from "../transfers/block-store.ts";
import { sayHello } from "./hello.ts";
import type { ModalSession } from "./session.ts";

const CONNECT_MS = 10_000;

/**
 * Asks whether Modal is there and takes the token; after trouble with the block store also whether that can be reached.
 *
 * @throws MirumojiError `MODAL_UNAVAILABLE`, `MODAL_UNAUTHENTICATED`, `MODAL_REFUSED`
 */
export async function reachModal(session: ModalSession, trouble: MirumojiError | null): Promise<void> {
  await sayHello(session);
  if (trouble instanceof StoreUnreachableError) await reachStore(trouble);
}

async function reachStore({ origin, message }: StoreUnreachableError): Promise<void> {
  if (origin === "") return;
  const { protocol, hostname, port } = new URL(origin);
  const socket = connect({
    host: hostname.replace(/^\[|\]$/gu, ""),
    port: port === "" ? (protocol === "https:" ? 443 : 80) : Number(port),
    timeout: CONNECT_MS,
  });
  try {
    await new Promise((resolve, reject) => {
      socket.on("connect", resolve);
      socket.on("error", reject);
      socket.on("timeout", () => reject(new Error("timed out")));
    });
  } catch (cause) {
    throw new StoreUnreachableError(origin, message, cause);
  } finally {
    socket.destroy();
  }
}
