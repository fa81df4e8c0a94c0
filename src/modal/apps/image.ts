import { MirumojiError, toMirumojiError } from "../../job/errors.ts";
import { isServerTrouble } from "../rpc/grpc-errors.ts";
import { sleep } from "../rpc/abort.ts";
import { retry } from "../rpc/retry.ts";
import { type ItemOf, serverStream, unary } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";
import {
  LONG_POLL_GRACE_MS,
  LONG_POLL_SECONDS,
  NAMESPACE,
  REGISTRY_AUTH_STATIC_CREDS,
  RESULT,
  STREAM_PAUSE_MS,
} from "../rpc/wire.ts";

/** Broken streams in a row before the build counts as failed; a stream with progress resets the count. */
const MAX_STREAM_ERRORS = 4;
/** Lines of the build log that go into the error. */
const LAST_LINES = 20;

const REFUSED = {
  NOT_FOUND: "IMAGE_BUILD_FAILED",
  INVALID_ARGUMENT: "IMAGE_BUILD_FAILED",
  FAILED_PRECONDITION: "IMAGE_BUILD_FAILED",
} as const;

export interface ImageOptions {
  readonly appId: string;
  /** Registry reference, for example `docker.io/svdc1/mirumoji-modal-gpu:3.2.0`. */
  readonly image: string;
  readonly builderVersion: string;
  /** Secret with the user name and password of a private registry. */
  readonly registrySecretId?: string | undefined;
  /** Lines of the build, as they come. */
  readonly onLog?: ((line: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

type BuildUpdate = ItemOf<"imageJoinStreaming">;
type BuildResult = NonNullable<BuildUpdate["result"]>;

/**
 * Resolves the image of a registry reference and builds it when Modal does not have it yet. Modal caches images by
 * their recipe, so a known image takes a single RPC.
 *
 * @throws MirumojiError `IMAGE_BUILD_FAILED` with the build's last lines, `MODAL_*`
 */
export async function ensureImage(
  session: ModalSession,
  options: ImageOptions,
): Promise<{ imageId: string }> {
  const { appId, image, builderVersion, registrySecretId, signal } = options;
  const { imageId, result } = await unary(
    session,
    "imageGetOrCreate",
    {
      appId,
      image: {
        dockerfileCommands: [`FROM ${image}`],
        gpuConfig: {},
        imageRegistryConfig:
          registrySecretId === undefined
            ? {}
            : { registryAuthType: REGISTRY_AUTH_STATIC_CREDS, secretId: registrySecretId },
      },
      namespace: NAMESPACE.workspace,
      builderVersion,
    },
    { signal, codes: REFUSED },
  );
  const lines: string[] = [];
  const built = isFinal(result) ? result : await joinBuild(session, imageId, options, lines);
  if (built.status !== RESULT.success) throw buildError(image, built, lines);
  return { imageId };
}

/** Follows the build to its result. Long streams are sometimes reset; it resumes at the last entry. */
async function joinBuild(
  session: ModalSession,
  imageId: string,
  { onLog, signal }: ImageOptions,
  lines: string[],
): Promise<BuildResult> {
  let lastEntryId = "";
  /** Reads one stream to its end, because the last log lines may follow the result. */
  const join = async (progressed: () => void): Promise<BuildResult | undefined> => {
    const updates = serverStream(
      session,
      "imageJoinStreaming",
      { imageId, timeout: LONG_POLL_SECONDS, lastEntryId },
      { signal, timeoutMs: LONG_POLL_SECONDS * 1000 + LONG_POLL_GRACE_MS },
    );
    let result: BuildResult | undefined;
    for await (const update of updates) {
      progressed();
      if (update.entryId !== "") lastEntryId = update.entryId;
      for (const line of linesOf(update)) {
        lines.push(line);
        onLog?.(line);
      }
      lines.splice(0, Math.max(0, lines.length - LAST_LINES));
      if (isFinal(update.result)) result = update.result;
    }
    return result;
  };
  const untilResult = async (progressed: () => void): Promise<BuildResult> => {
    for (;;) {
      const result = await join(progressed);
      if (result !== undefined) return result;
      await sleep(STREAM_PAUSE_MS, signal);
    }
  };
  return await retry(untilResult, {
    signal,
    tries: MAX_STREAM_ERRORS,
    isTransient: (error) => isServerTrouble(toMirumojiError(error)),
  });
}

function linesOf({ taskLogs }: BuildUpdate): string[] {
  return taskLogs.flatMap(({ data }) => data.split("\n").filter((line) => line.trim() !== ""));
}

function isFinal(result: BuildResult | undefined): result is BuildResult {
  return result !== undefined && result.status !== RESULT.unspecified;
}

function buildError(image: string, result: BuildResult, lines: readonly string[]): MirumojiError {
  const words = result.exception === "" ? `status ${result.status}` : result.exception;
  const stoppedByPlatform =
    result.status === RESULT.terminated ||
    result.status === RESULT.timeout ||
    result.status === RESULT.internalFailure;
  if (stoppedByPlatform) {
    return new MirumojiError("MODAL_FAILED", `the build of image ${image} was stopped: ${words}`);
  }
  const log = lines.length === 0 ? "" : `; the build's last lines:\n${lines.join("\n")}`;
  return new MirumojiError(
    "IMAGE_BUILD_FAILED",
    `image ${image} cannot be used: ${words}; check MIRUMOJI_MODAL_IMAGE${log}`,
  );
}
