import type { Stats } from "node:fs";
import { join } from "node:path";
import { descriptorPath, HAS_DESCRIPTOR_PATHS } from "./held-folder.ts";
import type { MediaRoot } from "./media-root.ts";
import { type SteadyFile, steadyFile } from "./steady-file.ts";

/** As much of a file's record as tells it from others. */
export type InputInfo = Pick<Stats, "dev" | "ino" | "size" | "mtimeMs" | "ctimeMs" | "isFile"> & {
  /** Name of an input that is no file here; the numbers say nothing then. */
  readonly id?: string;
};

/** An input that stays the same file, whatever its path is made to lead to meanwhile. */
export interface HeldInput extends AsyncDisposable {
  /** Leads to the file, here and in programs that are started here. */
  readonly localPath: string;
  /** Leads to it by its name, which tells ffmpeg something about a few rare formats; may lead elsewhere later. */
  readonly namedPath: string;
  readonly info: InputInfo;
  /** Reads a little of it. Throws node's own errors, and those of reading it so far. */
  assertReadable(): Promise<void>;
  /** Remembers what it is now. Rejects with node's own errors. */
  steady(): Promise<SteadyFile>;
}

/**
 * Opens an input.
 *
 * @throws MirumojiError `PATH_OUTSIDE_MEDIA_ROOT`; node's own errors
 */
export async function holdInput(root: MediaRoot, path: string): Promise<HeldInput> {
  const handle = await root.openExisting(path, "input");
  try {
    const info = await handle.stat();
    const namedPath = join(root.path, path);
    const localPath = HAS_DESCRIPTOR_PATHS
      ? descriptorPath(handle).replace("self", String(process.pid))
      : namedPath;
    return {
      localPath,
      namedPath,
      steady: async () => await steadyFile(localPath),
      info,
      assertReadable: async () => {
        const { size } = info;
        for (const position of [0, Math.max(0, size - 1)]) {
          await handle.read(Buffer.alloc(1), 0, 1, position);
        }
      },
      [Symbol.asyncDispose]: async () => await handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}
