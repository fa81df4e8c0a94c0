import { MirumojiError, toMirumojiError } from "../job/errors.ts";
import type { Volumes } from "../steps/ports.ts";
import { backoffMs, orAborted, sleep } from "./abort.ts";
import { downloadFile } from "./download.ts";
import { statusOf } from "./grpc-errors.ts";
import { serverStream, unary } from "./rpc.ts";
import type { ModalSession } from "./session.ts";
import { uploadFile } from "./upload.ts";
import { FILE_ENTRY, OBJECT_CREATION, VOLUME_VERSION_2 } from "./wire.ts";

const VOLUME_GONE = { NOT_FOUND: "VOLUME_LOST" } as const;

/**
 * When an uploaded file is looked for. Version 2 volumes were seen to take a while until a file that
 * was put is listed (`modal-wire` 4.2).
 */
const VISIBLE_AFTER_MS = [0, 2_000, 10_000, 30_000];
const LIST_TRIES = 3;

/** An entry of a volume. */
export interface VolumeEntry {
  /** Relative to the volume's root, without a leading slash. */
  readonly path: string;
  readonly kind: "file" | "directory" | "other";
  readonly sizeBytes: number;
}

/** `Volumes`, and the two things that only tools and tests need. */
export interface ModalVolumes extends Volumes {
  /** The entries of a folder and everything below it; of a file, itself. Throws `VOLUME_LOST`. */
  list(options: { volumeId: string; path: string; signal?: AbortSignal }): Promise<VolumeEntry[]>;
  /** Removes a file or folder; that it is gone already is success. */
  remove(options: { volumeId: string; path: string; signal?: AbortSignal }): Promise<void>;
}

/** Volumes over the raw control plane: the SDK's own make version 1 and never delete. */
export function modalVolumes(session: ModalSession): ModalVolumes {
  const heartbeat: ModalVolumes["heartbeat"] = async ({ volumeId, signal }) => {
    await unary(session, "volumeHeartbeat", { volumeId }, { signal, codes: VOLUME_GONE });
  };
  const remove = async (volumeId: string, signal: AbortSignal | undefined): Promise<void> => {
    await unlessGone(unary(session, "volumeDelete", { volumeId }, { signal, codes: VOLUME_GONE }));
  };
  return {
    heartbeat,
    delete: async ({ volumeId, signal }) => await remove(volumeId, signal),
    list: async (options) => await list(session, options),

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

    putFile: async (options) => {
      const sent = await uploadFile(session, options);
      await assertVisible(session, options, sent.sizeBytes, heartbeat);
      return sent;
    },

    getFile: async (options) => {
      try {
        return await downloadFile(session, options);
      } catch (thrown) {
        if (statusOf(thrown) !== "NOT_FOUND") throw thrown;
        // NOT_FOUND is said of the volume and of the file; only a heartbeat can tell them apart.
        await heartbeat(options);
        throw new MirumojiError(
          "TRANSFER_FAILED",
          `volume ${options.volumeId} has no file ${options.remotePath}; it is tried again`,
          { cause: thrown },
        );
      }
    },

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

async function assertVisible(
  session: ModalSession,
  {
    volumeId,
    remotePath,
    signal,
  }: { readonly volumeId: string; readonly remotePath: string; readonly signal: AbortSignal },
  sizeBytes: number,
  heartbeat: ModalVolumes["heartbeat"],
): Promise<void> {
  let seen = "is not listed";
  for (const delayMs of VISIBLE_AFTER_MS) {
    await sleep(delayMs, signal);
    try {
      const entries = await list(session, { volumeId, path: remotePath, signal });
      const entry = entries.find(({ path }) => path === normalized(remotePath));
      if (entry?.sizeBytes === sizeBytes) return;
      seen = entry === undefined ? "is not listed" : `is listed with ${entry.sizeBytes} bytes`;
    } catch (thrown) {
      if (toMirumojiError(thrown).code !== "VOLUME_LOST") throw thrown;
      await heartbeat({ volumeId, signal });
    }
  }
  throw new MirumojiError(
    "TRANSFER_FAILED",
    `${remotePath}: ${sizeBytes} bytes were sent, but it ${seen} in volume ${volumeId}; it is tried again`,
  );
}

/** The SDK does not retry streams, and a list cannot be resumed: it starts again. */
async function list(
  session: ModalSession,
  { volumeId, path, signal }: { volumeId: string; path: string; signal?: AbortSignal },
): Promise<VolumeEntry[]> {
  for (let tries = 1; ; tries++) {
    try {
      return await orAborted(listOnce(session, volumeId, path, signal), signal);
    } catch (thrown) {
      if (toMirumojiError(thrown).code !== "MODAL_UNAVAILABLE" || tries >= LIST_TRIES) throw thrown;
      await sleep(backoffMs(tries, 500, 5_000), signal);
    }
  }
}

async function listOnce(
  session: ModalSession,
  volumeId: string,
  path: string,
  signal: AbortSignal | undefined,
): Promise<VolumeEntry[]> {
  const found: VolumeEntry[] = [];
  const pages = serverStream(
    session,
    "volumeListFiles2",
    { volumeId, path, recursive: true },
    { signal, codes: VOLUME_GONE },
  );
  for await (const { entries } of pages) {
    for (const entry of entries) {
      const type: number = entry.type;
      found.push({
        path: normalized(entry.path),
        kind: type === FILE_ENTRY.file ? "file" : type === FILE_ENTRY.directory ? "directory" : "other",
        sizeBytes: entry.size,
      });
    }
  }
  return found;
}

function normalized(path: string): string {
  return path.replace(/^\/+/, "");
}

async function unlessGone(removal: Promise<unknown>): Promise<void> {
  try {
    await removal;
  } catch (thrown) {
    if (toMirumojiError(thrown).code !== "VOLUME_LOST") throw thrown;
  }
}
