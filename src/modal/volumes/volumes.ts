import { MirumojiError, toMirumojiError } from "../../job/errors.ts";
import type { Volumes } from "../../ports/volumes.ts";
import { downloadBytes, downloadFile } from "../transfers/download.ts";
import { statusOf } from "../rpc/grpc-errors.ts";
import { unary } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";
import { streamInput } from "../transfers/stream-input.ts";
import { createTransferLimiter, type TransferLimiter } from "../transfers/transfer-limiter.ts";
import { uploadFile, uploadSource } from "../transfers/upload.ts";
import { assertListed, listVolume, type VolumeEntry } from "./volume-listing.ts";
import { OBJECT_CREATION, VOLUME_VERSION_2 } from "../rpc/wire.ts";

const VOLUME_GONE = { NOT_FOUND: "VOLUME_LOST" } as const;

/** `Volumes`, and two operations that only tools and tests need. */
export interface ModalVolumes extends Volumes {
  /** The entries of a folder and everything below it; of a file, itself. Throws `VOLUME_LOST`. */
  list(options: { volumeId: string; path: string; signal?: AbortSignal }): Promise<VolumeEntry[]>;
  /** Removes a file or folder; that it is gone already is success. */
  remove(options: { volumeId: string; path: string; signal?: AbortSignal }): Promise<void>;
}

/** Volumes over the raw control plane: the SDK's own methods create version 1 volumes and never delete them. */
export function modalVolumes(
  session: ModalSession,
  limiter: TransferLimiter = createTransferLimiter(),
): ModalVolumes {
  const heartbeat: ModalVolumes["heartbeat"] = async ({ volumeId, signal }) => {
    await unary(session, "volumeHeartbeat", { volumeId }, { signal, codes: VOLUME_GONE });
  };
  const remove = async (volumeId: string, signal: AbortSignal | undefined): Promise<void> => {
    await unlessGone(unary(session, "volumeDelete", { volumeId }, { signal, codes: VOLUME_GONE }));
  };
  /** Servers answer NOT_FOUND for a missing volume and for a missing file; only a heartbeat tells which. */
  const orMissing = async <T>(
    options: { volumeId: string; remotePath: string; signal: AbortSignal },
    download: Promise<T>,
  ): Promise<T> => {
    try {
      return await download;
    } catch (cause) {
      if (statusOf(cause) !== "NOT_FOUND") throw cause;
      await heartbeat(options);
      const { volumeId, remotePath } = options;
      throw new MirumojiError(
        "RESULT_MISSING",
        `volume ${volumeId} has no file ${remotePath}; it is tried again`,
        { cause },
      );
    }
  };
  const andListed = async (
    options: { volumeId: string; remotePath: string; signal: AbortSignal; onSent?: () => void },
    upload: ReturnType<typeof uploadFile>,
  ): ReturnType<typeof uploadFile> => {
    const sent = await upload;
    options.onSent?.();
    const { volumeId, signal } = options;
    const list = async (path: string) => await listVolume(session, { volumeId, path, signal });
    await assertListed(list, {
      ...options,
      sizeBytes: sent.sizeBytes,
      // Only a heartbeat can tell a volume that is gone from a file that is not there yet.
      onMissing: async () => await heartbeat({ volumeId, signal }),
    });
    return sent;
  };
  return {
    heartbeat,
    delete: async ({ volumeId, signal }) => await remove(volumeId, signal),
    list: async (options) => await listVolume(session, options),

    create: async ({ signal }) => {
      const { volumeId, version, metadata } = await unary(
        session,
        "volumeGetOrCreate",
        {
          objectCreationType: OBJECT_CREATION.ephemeral,
          environmentName: session.environment,
          version: VOLUME_VERSION_2,
          createOptions: {},
        },
        { signal },
      );
      const got: number = metadata?.version ?? version;
      if (got === VOLUME_VERSION_2) return { volumeId };
      await remove(volumeId, undefined).catch(() => {});
      throw new MirumojiError(
        "MODAL_REFUSED",
        `Modal VolumeGetOrCreate: a version 2 volume was asked for and one of version ${got} came`,
      );
    },

    putFile: async (options) => await andListed(options, uploadFile(session, limiter, options)),
    putStream: async (options) => {
      const source = streamInput(options.content, options.expectedBytes);
      return await andListed(options, uploadSource(session, limiter, { ...options, source }));
    },

    getFile: async (options) => await orMissing(options, downloadFile(session, limiter, options)),
    readFile: async (options) => await orMissing(options, downloadBytes(session, limiter, options)),

    remove: async ({ volumeId, path, signal }) => {
      const removal = unary(
        session,
        "volumeRemoveFile2",
        { volumeId, path, recursive: true },
        { signal, codes: VOLUME_GONE },
      );
      await unlessGone(removal);
    },
  };
}

async function unlessGone(removal: Promise<unknown>): Promise<void> {
  try {
    await removal;
  } catch (thrown) {
    if (toMirumojiError(thrown).code !== "VOLUME_LOST") throw thrown;
  }
}
