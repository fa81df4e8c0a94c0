import { MirumojiError, toMirumojiError } from "../../job/errors.ts";
import { isServerTrouble } from "../rpc/grpc-errors.ts";
import { orAborted, sleep } from "../rpc/abort.ts";
import { retry } from "../rpc/retry.ts";
import { serverStream } from "../rpc/rpc.ts";
import type { ModalSession } from "../rpc/session.ts";
import { FILE_ENTRY } from "../rpc/wire.ts";

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
  /** When it was last changed. */
  readonly modifiedAt: Date;
}

interface ListOptions {
  readonly volumeId: string;
  readonly path: string;
  /** @defaultValue true */
  readonly recursive?: boolean | undefined;
  /** Version 1 volumes have an RPC of their own. */
  readonly rpc?: "volumeListFiles" | "volumeListFiles2" | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The entries of a folder, or of a file itself. The SDK does not retry streams, and a list cannot be
 * resumed: it starts again.
 *
 * @throws MirumojiError `VOLUME_LOST` when the volume or the path is not there: both come as NOT_FOUND
 */
export async function listVolume(session: ModalSession, options: ListOptions): Promise<VolumeEntry[]> {
  const { signal } = options;
  return await retry(async () => await orAborted(listOnce(session, options), signal), {
    signal,
    tries: LIST_TRIES,
    isTransient: (error) => isServerTrouble(toMirumojiError(error)),
  });
}

async function listOnce(
  session: ModalSession,
  { volumeId, path, recursive = true, rpc = "volumeListFiles2", signal }: ListOptions,
): Promise<VolumeEntry[]> {
  const found: VolumeEntry[] = [];
  const pages = serverStream(
    session,
    rpc,
    { volumeId, path, recursive },
    { signal, codes: { NOT_FOUND: "VOLUME_LOST" } },
  );
  for await (const { entries } of pages) {
    for (const entry of entries) {
      const type: number = entry.type;
      found.push({
        path: withoutLeadingSlash(entry.path),
        kind: type === FILE_ENTRY.file ? "file" : type === FILE_ENTRY.directory ? "directory" : "other",
        sizeBytes: entry.size,
        modifiedAt: new Date(entry.mtime * 1000),
      });
    }
  }
  return found;
}

/**
 * Looks for a file that was sent until it is listed with its size.
 *
 * @throws MirumojiError `TRANSFER_FAILED` when it is not after a while, and whatever `onMissing` throws
 */
export async function assertListed(
  list: (path: string) => Promise<readonly VolumeEntry[]>,
  options: {
    readonly volumeId: string;
    readonly remotePath: string;
    readonly sizeBytes: number;
    readonly signal: AbortSignal;
    /** Called when nothing is there, not even a folder. */
    readonly onMissing?: () => Promise<void>;
  },
): Promise<void> {
  const { volumeId, remotePath, sizeBytes, signal } = options;
  let seen = "is not listed";
  for (const delayMs of VISIBLE_AFTER_MS) {
    await sleep(delayMs, signal);
    try {
      const entries = await list(remotePath);
      const entry = entries.find(({ path }) => path === withoutLeadingSlash(remotePath));
      if (entry?.sizeBytes === sizeBytes) return;
      seen = entry === undefined ? "is not listed" : `is listed with ${entry.sizeBytes} bytes`;
    } catch (thrown) {
      if (toMirumojiError(thrown).code !== "VOLUME_LOST") throw thrown;
      await options.onMissing?.();
    }
  }
  throw new MirumojiError(
    "TRANSFER_FAILED",
    `${remotePath}: ${sizeBytes} bytes were sent, but it ${seen} in volume ${volumeId}; it is tried again`,
  );
}

function withoutLeadingSlash(path: string): string {
  return path.replace(/^\/+/, "");
}
