import type { Environment } from "../config/schema.ts";
import { sayHello } from "../modal/index.ts";
import { openSession } from "./modal.ts";

/**
 * Asks the Modal server whether it is there and takes the token.
 *
 * @throws MirumojiError `CONFIG_INVALID`, `MODAL_UNAVAILABLE`, `MODAL_UNAUTHENTICATED`
 */
export async function checkModal(environment: Environment): Promise<void> {
  const session = openSession(environment, {});
  try {
    await sayHello(session);
  } finally {
    session.close();
  }
}
