import { createHash } from "node:crypto";
import {
  createFunction,
  type FunctionHandle,
  type FunctionResources,
  type FunctionSpec,
  precreateFunction,
  type VolumeMount,
} from "./functions.ts";
import type { Handler } from "./handler.ts";
import { ensureImage } from "./image.ts";
import { createSourceMount, findClientMount } from "./mounts.ts";
import { findSecret } from "./secrets.ts";
import { unary } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";
import { OBJECT_CREATION, VOLUME_VERSION_2 } from "../rpc/wire.ts";
import { loadSources } from "./sources.ts";
import { CLIENT_MOUNT_VERSION, IMAGE_BUILDER_VERSION } from "./versions.ts";

/** Settings that decide how the two functions are registered. */
export interface RegistrationOptions extends FunctionResources {
  /** Registry reference of the container image. */
  readonly image: string;
  /** Name of the secret with the user name and password of the image's private registry. */
  readonly registrySecret?: string;
  readonly handler: Handler;
  /** Resources of one of the functions that differ from those of both. */
  readonly only?: Readonly<Partial<Record<"transcribe" | "convert", Partial<FunctionResources>>>>;
  /** Name of a volume where the models that transcriptions fetch are kept; none when left out. It is made if it is missing. */
  readonly modelVolume?: string;
  /** @defaultValue `mirumoji-gpu` */
  readonly appName?: string;
  /** @defaultValue `IMAGE_BUILDER_VERSION` */
  readonly builderVersion?: string;
  /** @defaultValue `CLIENT_MOUNT_VERSION` */
  readonly clientMountVersion?: string;
  /** Lines of the image build. */
  readonly onLog?: (line: string) => void;
}

/** The registered functions. */
export interface RegisteredFunctions {
  readonly transcribe: FunctionHandle;
  readonly convert: FunctionHandle;
  readonly remux?: FunctionHandle | undefined;
}

/** Where a function has the volume of models; calls name it. */
export const MODEL_MOUNT = "/mirumoji-models";

/** Name of Mirumoji's app. */
export const DEFAULT_APP_NAME = "mirumoji-gpu";

/**
 * Registers the two functions in an existing app, replacing functions of the same names. The caller publishes
 * them afterwards.
 *
 * @throws MirumojiError `IMAGE_BUILD_FAILED`, `CONFIG_INVALID`, `MODAL_*`
 */
export async function registerFunctions(
  session: ModalSession,
  options: RegistrationOptions & {
    readonly appId: string;
    /** IDs of functions that the app has, by tag. */
    readonly existing?: Readonly<Record<string, string>>;
    readonly signal?: AbortSignal;
  },
): Promise<RegisteredFunctions> {
  const { appId, handler, signal, appName = DEFAULT_APP_NAME, existing = {} } = options;
  const sources = await loadSources(handler.sources);
  const reserve = async (spec: FunctionSpec) =>
    await precreateFunction(session, { appId, spec, existingFunctionId: existing[spec.tag], signal });
  const reserved = {
    transcribe: await reserve(handler.transcribe),
    convert: await reserve(handler.convert),
    ...(handler.remux === undefined ? {} : { remux: await reserve(handler.remux) }),
  };
  const clientMount = await findClientMount(session, {
    version: options.clientMountVersion ?? CLIENT_MOUNT_VERSION,
    signal,
  });
  const registrySecretId =
    options.registrySecret === undefined
      ? undefined
      : (await findSecret(session, { name: options.registrySecret, signal })).secretId;
  const { imageId } = await ensureImage(session, {
    appId,
    image: options.image,
    builderVersion: options.builderVersion ?? IMAGE_BUILDER_VERSION,
    registrySecretId,
    onLog: options.onLog,
    signal,
  });
  const mountIds = [clientMount.mountId];
  if (sources.length > 0)
    mountIds.push((await createSourceMount(session, { appId, sources, signal })).mountId);
  const define = async (
    spec: FunctionSpec,
    { functionId }: { readonly functionId: string },
    resources: Partial<FunctionResources> = {},
    volumes: readonly VolumeMount[] = [],
  ): Promise<FunctionHandle> =>
    await createFunction(session, {
      appId,
      appName,
      functionId,
      imageId,
      mountIds,
      volumes,
      spec,
      resources: { ...options, ...resources },
      signal,
    });
  const { only } = options;
  const models =
    options.modelVolume === undefined ? [] : [await modelMount(session, options.modelVolume, signal)];
  const transcribe = await define(handler.transcribe, reserved.transcribe, only?.transcribe, models);
  const convert = await define(handler.convert, reserved.convert, only?.convert);
  if (handler.remux === undefined || reserved.remux === undefined) return { transcribe, convert };
  // None is kept warm: a copy is rare, and begins soon without a GPU.
  const spare = { ...only?.convert, gpus: [], minContainers: 0 };
  return { transcribe, convert, remux: await define(handler.remux, reserved.remux, spare) };
}

/** The volume of models, which outlives every app. */
async function modelMount(
  session: ModalSession,
  name: string,
  signal: AbortSignal | undefined,
): Promise<VolumeMount> {
  const { volumeId } = await unary(
    session,
    "volumeGetOrCreate",
    {
      deploymentName: name,
      environmentName: session.environment,
      objectCreationType: OBJECT_CREATION.createIfMissing,
      version: VOLUME_VERSION_2,
    },
    { signal },
  );
  return { volumeId, path: MODEL_MOUNT };
}

/**
 * Fingerprint of settings, handler bytes and mount paths. Tells whether an app of another worker can be shared, and
 * whether a deployed one is out of date.
 */
export async function fingerprintOf(
  options: RegistrationOptions,
  place: { readonly environment?: string; readonly deployed?: boolean } = {},
): Promise<string> {
  const sources = await loadSources(options.handler.sources);
  const decisive = {
    environment: place.environment ?? "",
    deployed: place.deployed ?? false,
    image: options.image,
    registrySecret: options.registrySecret,
    gpus: options.gpus,
    cpu: options.cpu,
    memoryMib: options.memoryMib,
    only: options.only,
    timeoutSeconds: options.timeoutSeconds,
    startupTimeoutSeconds: options.startupTimeoutSeconds,
    scaledownWindowSeconds: options.scaledownWindowSeconds,
    minContainers: options.minContainers,
    maxContainers: options.maxContainers,
    regions: options.regions,
    modelVolume: options.modelVolume,
    appName: options.appName ?? DEFAULT_APP_NAME,
    builderVersion: options.builderVersion ?? IMAGE_BUILDER_VERSION,
    clientMountVersion: options.clientMountVersion ?? CLIENT_MOUNT_VERSION,
    functions: [options.handler.transcribe, options.handler.convert, options.handler.remux],
    sources: sources.map(({ remotePath, sha256Hex }) => [remotePath, sha256Hex]),
  };
  return createHash("sha256").update(JSON.stringify(decisive)).digest("hex");
}
