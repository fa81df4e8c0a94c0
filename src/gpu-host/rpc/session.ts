import type { Services } from "../services.ts";
import type { Handlers } from "../wire.ts";

/** The first builder whose images have CBOR; what clients are to build with. */
export const IMAGE_BUILDER_VERSION = "2025.06";

const SESSION_TTL_MS = 60 * 60 * 1000;

export function sessionRpcs({
  signer,
}: Services): Handlers<"clientHello" | "authTokenGet" | "environmentGetOrCreate"> {
  return {
    async clientHello() {
      return { imageBuilderVersion: IMAGE_BUILDER_VERSION };
    },

    async authTokenGet() {
      return { token: signer.jwt(SESSION_TTL_MS) };
    },

    async environmentGetOrCreate({ deploymentName }) {
      const name = environmentName(deploymentName);
      const settings = { imageBuilderVersion: IMAGE_BUILDER_VERSION, webhookSuffix: "" };
      return { environmentId: `en-${name}`, metadata: { name, settings } };
    },
  };
}

/** Names are kept apart by environment; the host has any that is asked for. */
export function environmentName(name: string): string {
  return name === "" ? "main" : name;
}
