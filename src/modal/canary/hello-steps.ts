import { unary } from "../rpc/rpc.ts";
import { CLIENT_MOUNT_VERSION, IMAGE_BUILDER_VERSION } from "../apps/versions.ts";
import type { CanaryStep } from "./step.ts";
import { secondsUntilExpiry } from "./url-lifetime.ts";

export const HELLO_STEPS: readonly CanaryStep[] = [
  {
    name: "hello",
    run: async ({ session }, signal) => {
      const { serverWarnings } = await unary(session, "clientHello", {}, { signal });
      const { token } = await unary(session, "authTokenGet", {}, { signal });
      return {
        // The SDK's identity is fixed (`modal-wire` 1.6); an answer means that the server accepts it.
        "client type accepted": "8 (JavaScript)",
        "session token lives, s": secondsUntilExpiry(token) ?? "not visible",
        ...(serverWarnings.length === 0
          ? {}
          : { warnings: serverWarnings.map(({ message }) => message).join("; ") }),
      };
    },
  },
  {
    name: "environment",
    run: async ({ session }, signal) => {
      const { metadata } = await unary(
        session,
        "environmentGetOrCreate",
        { deploymentName: session.environment },
        { signal },
      );
      return {
        environment: metadata?.name ?? "",
        "its image builder": metadata?.settings?.imageBuilderVersion ?? "not said",
        "image builder used": IMAGE_BUILDER_VERSION,
        "client mount used": CLIENT_MOUNT_VERSION,
      };
    },
  },
];
