import { setTimeout as sleep } from "node:timers/promises";
import type { Services } from "../services.ts";
import type { Handlers } from "../wire.ts";

/** The first builder whose images have CBOR; what clients are to build with. */
export const IMAGE_BUILDER_VERSION = "2025.06";

const ASKED_MODEL = "x-mirumoji-speech-model";
const TOLD_ENGINES = "x-mirumoji-speech-engines";

/** A speech library that is loaded for the first time may take longer. */
const ANSWER_MS = 5000;

const SESSION_TTL_MS = 60 * 60 * 1000;

export function sessionRpcs({
  signer,
  engines,
}: Services): Handlers<"clientHello" | "authTokenGet" | "environmentGetOrCreate"> {
  return {
    async clientHello(_request, { metadata, header }) {
      // Our own worker asks before it sends anything for a model that is not here.
      const model = metadata.get(ASKED_MODEL);
      if (model !== undefined) {
        const found = await soon(engines.of(model === "" ? null : decodeURIComponent(model)));
        header.set(TOLD_ENGINES, found === null ? "unknown" : encodeURIComponent(JSON.stringify(found)));
      }
      return { imageBuilderVersion: IMAGE_BUILDER_VERSION };
    },

    async authTokenGet() {
      return { token: signer.jwt(SESSION_TTL_MS) };
    },

    async environmentGetOrCreate({ deploymentName }) {
      const name = environmentName(deploymentName);
      const settings = { imageBuilderVersion: IMAGE_BUILDER_VERSION, webhookSuffix: "" };
      // Of this host and its data folder alone.
      return {
        environmentId: `en-${signer.derive(`environment ${name}`).slice(0, 22)}`,
        metadata: { name, settings },
      };
    },
  };
}

/** Null when it takes longer than a request may: whoever asks again is told. */
async function soon<T>(answer: Promise<T | null>): Promise<T | null> {
  return await Promise.race([answer, sleep(ANSWER_MS, null, { ref: false })]);
}

/** Names are kept apart by environment; the host has any that is asked for. */
export function environmentName(name: string): string {
  return name === "" ? "main" : name;
}
