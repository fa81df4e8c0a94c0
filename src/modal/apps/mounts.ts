import { MirumojiError } from "../../job/errors.ts";
import { statusOf } from "../rpc/grpc-errors.ts";
import { retry } from "../rpc/retry.ts";
import { unary } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";
import { NAMESPACE, OBJECT_CREATION } from "../rpc/wire.ts";
import type { LoadedSource } from "./sources.ts";

/** Number of times a file's bytes are sent before the upload counts as failed. */
const PUT_TRIES = 8;

/**
 * Finds Modal's own Python SDK of one version, which boots the handler in the container.
 *
 * @throws MirumojiError `MODAL_REFUSED` when Modal does not publish that version (any more)
 */
export async function findClientMount(
  session: ModalSession,
  { version, signal }: { readonly version: string; readonly signal?: AbortSignal | undefined },
): Promise<{ mountId: string }> {
  try {
    const { mountId } = await unary(
      session,
      "mountGetOrCreate",
      { deploymentName: `modal-client-mount-${version}`, namespace: NAMESPACE.global },
      { signal, codes: { NOT_FOUND: "MODAL_REFUSED" } },
    );
    return { mountId };
  } catch (thrown) {
    if (statusOf(thrown) !== "NOT_FOUND") throw thrown;
    throw new MirumojiError(
      "MODAL_REFUSED",
      `Modal has no client mount of version ${version}; it is pinned in src/modal/apps/versions.ts and has to be ` +
        "one that Modal publishes and that fits the image builder version beside it",
      { cause: thrown },
    );
  }
}

/** Sends the files that the server lacks and makes one mount of all of them, owned by the app. */
export async function createSourceMount(
  session: ModalSession,
  {
    appId,
    sources,
    signal,
  }: {
    readonly appId: string;
    readonly sources: readonly LoadedSource[];
    readonly signal?: AbortSignal | undefined;
  },
): Promise<{ mountId: string }> {
  const { missingSha256HexHashes } = await unary(
    session,
    "mountBatchedCheckExistence",
    { sha256HexHashes: sources.map(({ sha256Hex }) => sha256Hex) },
    { signal },
  );
  const missing = new Set(missingSha256HexHashes);
  for (const source of sources) {
    if (missing.delete(source.sha256Hex)) await putSource(session, source, signal);
  }
  const { mountId } = await unary(
    session,
    "mountGetOrCreate",
    {
      objectCreationType: OBJECT_CREATION.anonymousOwnedByApp,
      appId,
      environmentName: session.environment,
      files: sources.map(({ remotePath, sha256Hex }) => ({
        filename: remotePath,
        sha256Hex,
        mode: 0o644,
      })),
    },
    { signal },
  );
  return { mountId };
}

async function putSource(
  session: ModalSession,
  { sha256Hex, data, remotePath }: LoadedSource,
  signal: AbortSignal | undefined,
): Promise<void> {
  const refused = new MirumojiError(
    "MODAL_FAILED",
    `Modal MountPutFile: the server does not take ${remotePath}`,
  );
  const put = async () => {
    const { exists } = await unary(session, "mountPutFile", { sha256Hex, data }, { signal });
    if (!exists) throw refused;
  };
  // An RPC that failed was tried again already.
  await retry(put, { signal, tries: PUT_TRIES, isTransient: (error) => error === refused });
}
