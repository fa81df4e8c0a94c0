import type { Environment } from "../../config/schema.ts";
import type { JobType } from "../../job/contract.ts";
import type { MirumojiError } from "../../job/errors.ts";
import type { AppShare } from "../../queue/app-share.ts";
import { deployModal } from "./deploy.ts";
import { findModal } from "./existing.ts";
import { chosenHandler } from "./handler.ts";
import type { RegistrationOptions } from "./registration.ts";
import type { ModalSession } from "../rpc/session.ts";
import { type ModalRuntime, setupModal } from "../setup-modal.ts";

export interface OpenRuntimeOptions {
  readonly share: AppShare;
  /** Path of the handler in this package. */
  readonly handlerPath: string;
  /** Lines of the image build. */
  readonly onLog: (line: string) => void;
  /** Called for each failed heartbeat of an ephemeral app. */
  readonly onHeartbeatError: (error: MirumojiError, appId: string) => void;
  /** Aborts when the functions are no longer needed. */
  readonly signal: AbortSignal;
}

/**
 * Opens the functions as `MODAL_APP_MODE` says.
 *
 * @throws MirumojiError `IMAGE_BUILD_FAILED`, `CONFIG_INVALID`, `MODAL_*`
 */
export async function openRuntime(
  session: ModalSession,
  environment: Environment,
  options: OpenRuntimeOptions,
): Promise<ModalRuntime> {
  const { MODAL_APP_MODE: mode } = environment;
  const { share, onHeartbeatError, signal } = options;
  if (mode === "ephemeral") {
    const registration = registrationOptions(environment, options);
    return await setupModal(session, { ...registration, share, onHeartbeatError, signal });
  }
  const found =
    mode === "deployed"
      ? await deployModal(session, { ...registrationOptions(environment, options), share, signal })
      : await findModal(session, { ...functionNames(environment), signal });
  return { ...found, close: async () => await Promise.resolve() };
}

/** Collects the settings that the functions are registered with. */
export function registrationOptions(
  environment: Environment,
  { handlerPath, onLog }: Pick<OpenRuntimeOptions, "handlerPath" | "onLog">,
): RegistrationOptions {
  const {
    MIRUMOJI_MODAL_STARTUP_TIMEOUT: startupTimeoutSeconds,
    MIRUMOJI_MODAL_MIN_CONTAINERS: minContainers,
    MIRUMOJI_MODAL_MAX_CONTAINERS: maxContainers,
    MIRUMOJI_MODAL_REGISTRY_SECRET: registrySecret,
    MIRUMOJI_MODAL_REGIONS: regions,
  } = environment;
  return {
    appName: environment.MIRUMOJI_MODAL_APP_NAME,
    image: environment.MIRUMOJI_MODAL_IMAGE,
    gpus: environment.MIRUMOJI_MODAL_GPU,
    ...defined({ cpu: environment.MIRUMOJI_MODAL_CPU, memoryMib: environment.MIRUMOJI_MODAL_MEMORY }),
    only: {
      transcribe: defined({
        gpus: environment.MIRUMOJI_TRANSCRIBE_GPU,
        cpu: environment.MIRUMOJI_TRANSCRIBE_CPU,
        memoryMib: environment.MIRUMOJI_TRANSCRIBE_MEMORY,
        scaledownWindowSeconds: environment.MIRUMOJI_TRANSCRIBE_SCALEDOWN_WINDOW,
      }),
      convert: defined({
        gpus: environment.MIRUMOJI_CONVERT_GPU,
        cpu: environment.MIRUMOJI_CONVERT_CPU,
        memoryMib: environment.MIRUMOJI_CONVERT_MEMORY,
        scaledownWindowSeconds: environment.MIRUMOJI_CONVERT_SCALEDOWN_WINDOW,
      }),
    },
    timeoutSeconds: environment.MIRUMOJI_MODAL_TIMEOUT,
    scaledownWindowSeconds: environment.MIRUMOJI_MODAL_SCALEDOWN_WINDOW,
    ...(startupTimeoutSeconds === undefined ? {} : { startupTimeoutSeconds }),
    ...(minContainers === undefined ? {} : { minContainers }),
    ...(maxContainers === undefined ? {} : { maxContainers }),
    ...(registrySecret === undefined ? {} : { registrySecret }),
    ...(regions === undefined ? {} : { regions }),
    ...defined({ modelVolume: modelVolume(environment) }),
    handler: chosenHandler({
      handlerPath: environment.MIRUMOJI_HANDLER ?? handlerPath,
      isOurs: environment.MIRUMOJI_HANDLER === undefined,
      transcribe: environment.MIRUMOJI_TRANSCRIBE_FUNCTION,
      convert: environment.MIRUMOJI_CONVERT_FUNCTION,
    }),
    onLog,
  };
}

/** Name of the volume for models that our handler fetches; none where every model is a folder, or the image's own. */
export function modelVolume({
  MODAL_APP_MODE: mode,
  MIRUMOJI_HANDLER: handler,
  MIRUMOJI_TRANSCRIBE_FUNCTION: own,
  MIRUMOJI_WHISPER_MODEL: model,
  MIRUMOJI_WHISPER_MODELS: others = [],
  MIRUMOJI_MODAL_MODEL_VOLUME: name,
}: Environment): string | undefined {
  if (mode === "existing" || handler !== undefined || own !== undefined) return undefined;
  const models = [...(model === undefined ? [] : [model]), ...others];
  return models.some((wanted) => !/^[./]/u.test(wanted)) ? name : undefined;
}

/** The settings that are set. */
function defined<T extends object>(settings: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}

/** The functions that are not our handler's: `module:function`, by job type. */
export function imageFunctions(environment: Environment): Partial<Record<JobType, string>> {
  const { MIRUMOJI_TRANSCRIBE_FUNCTION: transcribe, MIRUMOJI_CONVERT_FUNCTION: convert } = environment;
  return {
    ...(transcribe === undefined ? {} : { transcribe }),
    ...(convert === undefined ? {} : { convert }),
  };
}

/** Names of the functions in mode `existing`; a function of the image has its own name there. */
function functionNames(environment: Environment): { appName: string; transcribe: string; convert: string } {
  const { transcribe, convert } = imageFunctions(environment);
  return {
    appName: environment.MIRUMOJI_MODAL_APP_NAME,
    transcribe: transcribe?.split(":")[1] ?? "transcribe",
    convert: convert?.split(":")[1] ?? "convert",
  };
}
