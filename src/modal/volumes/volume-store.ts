import type { FileHandle } from "node:fs/promises";
import { MirumojiError, toMirumojiError } from "../../job/errors.ts";
import type { TransferProgress } from "../../ports/volumes.ts";
import { downloadFile } from "../transfers/download.ts";
import { statusOf } from "../rpc/grpc-errors.ts";
import { unary } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";
import { createTransferLimiter } from "../transfers/transfer-limiter.ts";
import { uploadFile } from "../transfers/upload.ts";
import { assertListed, listVolume, type VolumeEntry } from "./volume-listing.ts";
import { OBJECT_CREATION, VOLUME_VERSION_2 } from "../rpc/wire.ts";

/** Any volume of the workspace, for the command line. Every method throws `MirumojiError`s only. */
export interface VolumeStore {
  readonly volumeId: string;
  readonly version: number;
  /** The entries of a folder; of a file, itself. Throws `VOLUME_PATH_NOT_FOUND`. */
  list(options: { path: string; recursive: boolean; signal: AbortSignal }): Promise<VolumeEntry[]>;
  /**
   * Sends a file, then lists it and checks its size. Throws `FILE_EXISTS` where it may not overwrite, and
   * `VOLUME_VERSION_UNSUPPORTED` for a version 1 volume.
   */
  put(options: {
    localPath: string;
    remotePath: string;
    overwrite: boolean;
    signal: AbortSignal;
    onProgress?: (progress: TransferProgress) => void;
  }): Promise<{ sizeBytes: number }>;
  /** Fetches a file into an open, empty local file. Throws `VOLUME_PATH_NOT_FOUND`. */
  get(options: {
    remotePath: string;
    into: FileHandle;
    signal: AbortSignal;
    onProgress?: (progress: TransferProgress) => void;
  }): Promise<{ sizeBytes: number }>;
  /** Removes a file, or a folder with what is in it. Throws `VOLUME_PATH_NOT_FOUND`. */
  remove(options: { path: string; recursive: boolean; signal: AbortSignal }): Promise<void>;
}

/**
 * Finds a volume by its ID (`vo-...`), else by its name in the session's environment.
 *
 * @throws MirumojiError `VOLUME_NOT_FOUND`, `MODAL_*`
 */
export async function openVolume(
  session: ModalSession,
  nameOrId: string,
  signal: AbortSignal,
): Promise<VolumeStore> {
  const { volumeId, version } = await findVolume(session, nameOrId, signal);
  const isV2 = version === VOLUME_VERSION_2;
  const limiter = createTransferLimiter();
  /** Servers answer NOT_FOUND for a missing volume and for a missing path; only a request for the volume tells which. */
  const pathOrVolumeGone = async (thrown: unknown, path: string): Promise<never> => {
    if (statusOf(thrown) !== "NOT_FOUND") throw thrown;
    await findVolume(session, volumeId, signal);
    throw new MirumojiError("VOLUME_PATH_NOT_FOUND", `volume ${nameOrId} has nothing at ${shown(path)}`, {
      cause: thrown,
    });
  };
  const list = async (path: string, recursive: boolean, stop: AbortSignal) =>
    await listVolume(session, {
      volumeId,
      path,
      recursive,
      rpc: isV2 ? "volumeListFiles2" : "volumeListFiles",
      signal: stop,
    });
  return {
    volumeId,
    version,
    list: async ({ path, recursive, signal: stop }) =>
      await list(path, recursive, stop).catch(
        async (thrown: unknown) => await pathOrVolumeGone(thrown, path),
      ),
    put: async (options) => {
      if (!isV2) {
        throw new MirumojiError(
          "VOLUME_VERSION_UNSUPPORTED",
          `volume ${nameOrId} has version ${version}, to which nothing is sent here; use a version 2 volume, or the ` +
            "`modal` command of the Python SDK",
        );
      }
      const { sizeBytes } = await uploadFile(session, limiter, { volumeId, ...options });
      await assertListed(async (path) => await list(path, false, options.signal), {
        ...options,
        volumeId,
        sizeBytes,
        onMissing: async () => void (await findVolume(session, volumeId, options.signal)),
      });
      return { sizeBytes };
    },
    // Both versions are read with the same RPC (`modal-wire` 4.4).
    get: async (options) =>
      await downloadFile(session, limiter, { volumeId, ...options }).catch(
        async (thrown: unknown) => await pathOrVolumeGone(thrown, options.remotePath),
      ),
    remove: async ({ path, recursive, signal: stop }) => {
      await unary(
        session,
        isV2 ? "volumeRemoveFile2" : "volumeRemoveFile",
        { volumeId, path, recursive },
        {
          signal: stop,
          codes: { NOT_FOUND: "VOLUME_PATH_NOT_FOUND", INVALID_ARGUMENT: "VOLUME_PATH_INVALID" },
        },
      ).catch(async (thrown: unknown) => await pathOrVolumeGone(thrown, path));
    },
  };
}

async function findVolume(
  session: ModalSession,
  nameOrId: string,
  signal: AbortSignal,
): Promise<{ volumeId: string; version: number }> {
  const options = { signal, codes: { NOT_FOUND: "VOLUME_NOT_FOUND" } } as const;
  if (/^vo-\w+$/.test(nameOrId)) {
    try {
      const { volumeId, metadata } = await unary(session, "volumeGetById", { volumeId: nameOrId }, options);
      return { volumeId, version: metadata?.version ?? 0 };
    } catch (thrown) {
      // A name may look like an ID.
      if (toMirumojiError(thrown).code !== "VOLUME_NOT_FOUND") throw thrown;
    }
  }
  try {
    const { volumeId, version, metadata } = await unary(
      session,
      "volumeGetOrCreate",
      {
        deploymentName: nameOrId,
        environmentName: session.environment,
        objectCreationType: OBJECT_CREATION.lookup,
      },
      options,
    );
    return { volumeId, version: metadata?.version ?? version };
  } catch (thrown) {
    if (toMirumojiError(thrown).code !== "VOLUME_NOT_FOUND") throw thrown;
    const where = session.environment === "" ? "" : ` in environment ${session.environment}`;
    throw new MirumojiError("VOLUME_NOT_FOUND", `there is no volume ${shown(nameOrId)}${where}`, {
      cause: thrown,
    });
  }
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
