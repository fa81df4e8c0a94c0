import { fileURLToPath } from "node:url";
import type { Environment } from "../config/schema.ts";
import { readSecretFile } from "../config/secret-files.ts";
import { MirumojiError } from "../job/errors.ts";
import { type ModalSession, type ModalSessionOptions, openModalSession } from "../modal/index.ts";

/** The handler that is mounted into the container; the same file runs on the GPU host. */
export const HANDLER_PATH = fileURLToPath(new URL("../../container/mirumoji_gpu", import.meta.url));

/** @throws MirumojiError `CONFIG_INVALID` when there is no token */
export function openSession(
  environment: Environment,
  listeners: Pick<ModalSessionOptions, "onRpc" | "onWarning"> = {},
): ModalSession {
  const { MODAL_TOKEN_ID: tokenId, MODAL_TOKEN_SECRET: tokenSecret, MODAL_ENVIRONMENT: name } = environment;
  if (tokenId === undefined || tokenSecret === undefined) {
    throw new MirumojiError(
      "CONFIG_INVALID",
      "MODAL_TOKEN_ID and MODAL_TOKEN_SECRET are not set; use a Modal token, or what `mirumoji-worker gpu-host` prints",
    );
  }
  return openModalSession({
    serverUrl: environment.MODAL_SERVER_URL,
    tokenId,
    tokenSecret,
    ...(name === undefined ? {} : { environment: name }),
    ...listeners,
  });
}

/** Reads a token that is in files again; the session goes on with one that was replaced. True when it was. */
export function tokenRenewal(
  { MODAL_TOKEN_ID, MODAL_TOKEN_SECRET, MODAL_TOKEN_ID_FILE, MODAL_TOKEN_SECRET_FILE }: Environment,
  session: ModalSession,
): () => boolean {
  let tokenId = MODAL_TOKEN_ID;
  let tokenSecret = MODAL_TOKEN_SECRET;
  const newest = (path: string | undefined, known: string | undefined) =>
    path === undefined ? known : (readSecretFile(path) ?? known);
  return () => {
    const newId = newest(MODAL_TOKEN_ID_FILE, tokenId);
    const newSecret = newest(MODAL_TOKEN_SECRET_FILE, tokenSecret);
    if (newId === undefined || newSecret === undefined) return false;
    if (newId === tokenId && newSecret === tokenSecret) return false;
    tokenId = newId;
    tokenSecret = newSecret;
    session.renew({ tokenId, tokenSecret });
    return true;
  };
}
