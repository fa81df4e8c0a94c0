import { MirumojiError } from "../../job/errors.ts";
import { unary } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";

/** An app that was published under a name, and its functions. */
export interface DeployedApp {
  readonly appId: string;
  /** By tag. */
  readonly functionIds: Readonly<Record<string, string>>;
}

/**
 * Finds a deployed app by its name.
 *
 * @throws MirumojiError `MODAL_*`
 */
export async function findDeployedApp(
  session: ModalSession,
  { appName, signal }: { readonly appName: string; readonly signal?: AbortSignal | undefined },
): Promise<DeployedApp | null> {
  try {
    const { appId } = await unary(
      session,
      "appGetByDeploymentName",
      { name: appName, environmentName: session.environment },
      { signal, codes: { NOT_FOUND: "APP_LOST" } },
    );
    if (appId === "") return null;
    const { appLayout } = await unary(
      session,
      "appGetLayout",
      { appId },
      // It may be stopped between the two questions.
      { signal, codes: { NOT_FOUND: "APP_LOST", FAILED_PRECONDITION: "APP_LOST" } },
    );
    return { appId, functionIds: appLayout?.functionIds ?? {} };
  } catch (thrown) {
    if (thrown instanceof MirumojiError && thrown.code === "APP_LOST") return null;
    throw thrown;
  }
}
