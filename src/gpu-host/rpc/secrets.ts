import { createHash } from "node:crypto";
import { CreationType } from "../enums.ts";
import { invalidArgument, notFound, notServed } from "../failures.ts";
import type { Services } from "../services.ts";
import type { Handlers } from "../wire.ts";
import { environmentName } from "./session.ts";

/** Named secrets are known by the keys they hold; the host has no use for values. */
export function secretRpcs({ secrets }: Services): Handlers<"secretGetOrCreate"> {
  return {
    async secretGetOrCreate({
      deploymentName,
      environmentName: environment,
      objectCreationType,
      requiredKeys,
    }) {
      if (objectCreationType !== CreationType.LOOKUP) throw notServed("secrets that clients make");
      const keys = secrets[deploymentName];
      if (keys === undefined) {
        throw notFound(`Secret ${deploymentName} of environment ${environmentName(environment)}`);
      }
      const missing = requiredKeys.filter((key) => !keys.includes(key));
      if (missing.length > 0) throw invalidArgument(`Secret ${deploymentName} lacks ${missing.join(", ")}`);
      return { secretId: secretId(deploymentName) };
    },
  };
}

/** @throws NOT_FOUND for an ID that no secret of the host has */
export function requireSecret({ secrets }: Services, id: string): void {
  if (!Object.keys(secrets).some((name) => secretId(name) === id)) throw notFound(`Secret ${id}`);
}

function secretId(name: string): string {
  return `st-${createHash("sha256").update(name).digest("hex").slice(0, 22)}`;
}
