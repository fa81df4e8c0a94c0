import { MirumojiError } from "../../job/errors.ts";
import { unary } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";

/** Variables of a registry secret (`RegistryAuthType` static credentials). */
const REGISTRY_KEYS = ["REGISTRY_USERNAME", "REGISTRY_PASSWORD"];

const REFUSED = {
  NOT_FOUND: "CONFIG_INVALID",
  INVALID_ARGUMENT: "CONFIG_INVALID",
  FAILED_PRECONDITION: "CONFIG_INVALID",
} as const;

/**
 * Finds a secret with a registry's credentials by its name. Its contents never reach this process.
 *
 * @throws MirumojiError `CONFIG_INVALID` when there is none, or when it lacks a key; `MODAL_*`
 */
export async function findSecret(
  session: ModalSession,
  { name, signal }: { readonly name: string; readonly signal?: AbortSignal | undefined },
): Promise<{ secretId: string }> {
  try {
    const { secretId } = await unary(
      session,
      "secretGetOrCreate",
      { deploymentName: name, environmentName: session.environment, requiredKeys: REGISTRY_KEYS },
      { signal, codes: REFUSED },
    );
    return { secretId };
  } catch (cause) {
    if (!(cause instanceof MirumojiError) || cause.code !== "CONFIG_INVALID") throw cause;
    throw new MirumojiError(
      "CONFIG_INVALID",
      `MIRUMOJI_MODAL_REGISTRY_SECRET names ${JSON.stringify(name)}, which cannot be used: ${cause.message}; ` +
        `make a secret of that name with ${REGISTRY_KEYS.join(" and ")} in Modal`,
      { cause },
    );
  }
}
