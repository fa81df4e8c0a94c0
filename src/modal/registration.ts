import { createHash } from "node:crypto";
import type { MirumojiError } from "../job/errors.ts";
import { createApp, disconnectApp, keepAppAlive, publishApp } from "./app.ts";
import {
  createFunction,
  type FunctionHandle,
  type FunctionResources,
  precreateFunction,
} from "./functions.ts";
import type { Handler } from "./handler.ts";
import { ensureImage } from "./image.ts";
import { createSourceMount, findClientMount, type LoadedSource, loadSources } from "./mounts.ts";
import type { ModalSession } from "./session.ts";
import { CLIENT_MOUNT_VERSION, IMAGE_BUILDER_VERSION } from "./versions.ts";

/** What decides how the two functions are registered. */
export interface RegistrationOptions extends FunctionResources {
  /** Registry reference of the container image. */
  readonly image: string;
  readonly handler: Handler;
  /** @defaultValue `mirumoji-gpu` */
  readonly appName?: string;
  /** @defaultValue `IMAGE_BUILDER_VERSION` */
  readonly builderVersion?: string;
  /** @defaultValue `CLIENT_MOUNT_VERSION` */
  readonly clientMountVersion?: string;
  /** Lines of the image build. */
  readonly onLog?: (line: string) => void;
}

/** The registered functions, and what they were registered from. */
export interface RegisteredFunctions {
  readonly transcribe: FunctionHandle;
  readonly convert: FunctionHandle;
  /** Equal for equal settings and handler bytes: whether an app that somebody else made can be shared. */
  readonly fingerprint: string;
}

/** A running ephemeral app of our own. */
export interface ModalRuntime extends RegisteredFunctions {
  readonly appId: string;
  /** Stops the heartbeat and ends the app, with every call in it. */
  close(): Promise<void>;
}

const DEFAULT_APP_NAME = "mirumoji-gpu";

/**
 * Creates an ephemeral app with the two functions and keeps it alive: what the Python SDK does for
 * `modal.App(..., image=Image.from_registry(...))` and `app.run()`, request by request. When something
 * fails in the middle, the app is ended again.
 *
 * @throws MirumojiError `IMAGE_BUILD_FAILED`, `CONFIG_INVALID`, `MODAL_*`
 */
export async function setupModal(
  session: ModalSession,
  options: RegistrationOptions & {
    readonly signal?: AbortSignal;
    /** Heartbeats that failed; after `APP_LOST` the runtime is of no use any more. */
    readonly onHeartbeatError?: (error: MirumojiError) => void;
  },
): Promise<ModalRuntime> {
  const { appName = DEFAULT_APP_NAME, signal } = options;
  const { appId } = await createApp(session, { appName, signal });
  const heartbeat = keepAppAlive(session, { appId, onError: options.onHeartbeatError });
  try {
    const functions = await registerFunctions(session, { ...options, appId });
    await publishApp(session, { appId, functions: [functions.transcribe, functions.convert], signal });
    return {
      ...functions,
      appId,
      close: async () => {
        heartbeat.stop();
        await disconnectApp(session, { appId });
      },
    };
  } catch (failure) {
    heartbeat.stop();
    // Not with the caller's signal: it may be the reason that we are here.
    await disconnectApp(session, { appId, failure }).catch(() => {});
    throw failure;
  }
}

/**
 * Registers the two functions in an app that exists. Publishing them is the caller's next step.
 *
 * @throws MirumojiError `IMAGE_BUILD_FAILED`, `CONFIG_INVALID`, `MODAL_*`
 */
export async function registerFunctions(
  session: ModalSession,
  options: RegistrationOptions & { readonly appId: string; readonly signal?: AbortSignal },
): Promise<RegisteredFunctions> {
  const { appId, handler, signal, appName = DEFAULT_APP_NAME } = options;
  const sources = await loadSources(handler.sources);
  const reserved = {
    transcribe: await precreateFunction(session, { appId, spec: handler.transcribe, signal }),
    convert: await precreateFunction(session, { appId, spec: handler.convert, signal }),
  };
  const clientMount = await findClientMount(session, {
    version: options.clientMountVersion ?? CLIENT_MOUNT_VERSION,
    signal,
  });
  const { imageId } = await ensureImage(session, {
    appId,
    image: options.image,
    builderVersion: options.builderVersion ?? IMAGE_BUILDER_VERSION,
    onLog: options.onLog,
    signal,
  });
  const mountIds = [clientMount.mountId];
  if (sources.length > 0)
    mountIds.push((await createSourceMount(session, { appId, sources, signal })).mountId);
  const define = async (name: "transcribe" | "convert"): Promise<FunctionHandle> =>
    await createFunction(session, {
      appId,
      appName,
      functionId: reserved[name].functionId,
      imageId,
      mountIds,
      spec: handler[name],
      resources: options,
      signal,
    });
  return {
    transcribe: await define("transcribe"),
    convert: await define("convert"),
    fingerprint: fingerprint(options, sources),
  };
}

function fingerprint(options: RegistrationOptions, sources: readonly LoadedSource[]): string {
  const decisive = {
    image: options.image,
    gpu: options.gpu,
    timeoutSeconds: options.timeoutSeconds,
    scaledownWindowSeconds: options.scaledownWindowSeconds,
    minContainers: options.minContainers,
    maxContainers: options.maxContainers,
    appName: options.appName ?? DEFAULT_APP_NAME,
    builderVersion: options.builderVersion ?? IMAGE_BUILDER_VERSION,
    clientMountVersion: options.clientMountVersion ?? CLIENT_MOUNT_VERSION,
    functions: [options.handler.transcribe, options.handler.convert],
    sources: sources.map(({ remotePath, sha256Hex }) => [remotePath, sha256Hex]),
  };
  return createHash("sha256").update(JSON.stringify(decisive)).digest("hex");
}
