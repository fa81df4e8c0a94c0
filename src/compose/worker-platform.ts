import type { Environment } from "../config/schema.ts";
import { toMirumojiError } from "../job/errors.ts";
import {
  createRuntimeHolder,
  engineInquiry,
  imageFunctions,
  modalApps,
  modalCalls,
  modalPartCalls,
  type ModalSession,
  openRuntime,
  type RuntimeHolder,
} from "../modal/index.ts";
import type { PrefixClaim } from "../pool/prefix-claim.ts";
import { createAppShare } from "../queue/app-share.ts";
import type { StepTools } from "../steps/context.ts";
import type { Logger } from "../telemetry/logger.ts";
import { HANDLER_PATH, openSession } from "./modal.ts";
import type { WorkerStore } from "./worker-store.ts";
import type { WorkerTelemetry } from "./worker-telemetry.ts";

/** The session with Modal and the functions that this worker calls there. */
export interface WorkerPlatform {
  readonly session: ModalSession;
  readonly runtime: RuntimeHolder;
  readonly apps: StepTools["apps"];
  readonly calls: StepTools["calls"];
  readonly partCalls: StepTools["partCalls"];
  readonly engines: StepTools["engines"];
  close(): Promise<void>;
}

/** @throws MirumojiError `CONFIG_INVALID` when there is no token */
export function openObservedSession(
  environment: Environment,
  { logger, metrics, tracing }: WorkerTelemetry,
): ModalSession {
  return openSession(environment, {
    onRpc: (event) => {
      metrics.observeRpc(event);
      tracing.observeRpc(event);
    },
    onWarning: (message) => logger.warn(message),
  });
}

/**
 * Registers the functions ahead of the first job. A registration that fails is logged, and fails again, with its code,
 * in the job that needs it.
 */
export function openPlatform(
  environment: Environment,
  session: ModalSession,
  { redis, prefix, leaseMs, now }: WorkerStore,
  logger: Logger,
  claim: PrefixClaim,
): WorkerPlatform {
  const share = createAppShare(redis, { prefix, leaseMs, now });
  const deployedApps = new Set<string>();
  let isClosing = false;
  const isForeign = environment.MODAL_APP_MODE === "existing";
  const register = async (signal: AbortSignal) => {
    // The app of a pool is shared through Redis too.
    if (!claim.isHeld) await claim.hold();
    const opened = await openRuntime(session, environment, {
      share,
      handlerPath: HANDLER_PATH,
      signal,
      onLog: (line) => logger.info({ image: environment.MIRUMOJI_MODAL_IMAGE }, line),
      onHeartbeatError: (error, appId) => {
        logger.warn({ code: error.code }, `app heartbeat: ${error.message}`);
        if (error.code === "APP_LOST") runtime.forget(appId);
      },
    });
    if (environment.MODAL_APP_MODE !== "ephemeral") deployedApps.add(opened.appId);
    return opened;
  };
  const runtime: RuntimeHolder = createRuntimeHolder(register, imageFunctions(environment), { isForeign });
  runtime.get().then(
    ({ appId }) => logger.info({ appId }, "functions are registered"),
    (error: unknown) => {
      const { code, message } = toMirumojiError(error);
      if (!isClosing) logger.error({ code }, `functions cannot be registered: ${message}`);
    },
  );
  const onFunctionLost = (functionId: string) => runtime.forget(functionId);
  return {
    session,
    runtime,
    apps: modalApps(session, { isDeployed: (appId) => deployedApps.has(appId) }),
    calls: modalCalls(session, { onFunctionLost }),
    partCalls: modalPartCalls(session, { onFunctionLost }),
    engines: isOurHandler(environment)
      ? engineInquiry(session, () => performance.now())
      : async () => await Promise.resolve(null),
    async close() {
      isClosing = true;
      await runtime.close();
      session.close();
    },
  };
}

/** Whether transcriptions run our handler, whose engines the GPU host knows. */
function isOurHandler({
  MODAL_APP_MODE: mode,
  MIRUMOJI_HANDLER: handler,
  MIRUMOJI_TRANSCRIBE_FUNCTION: own,
}: Environment): boolean {
  return mode !== "existing" && handler === undefined && own === undefined;
}
