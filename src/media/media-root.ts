import { constants } from "node:fs";
import { type FileHandle, open, realpath } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { MirumojiError } from "../job/errors.ts";
import { checkMediaPath } from "../job/paths.ts";
import { hasErrno, isMissing } from "./errno.ts";
import { type HeldFolder, holdFolder } from "./held-folder.ts";

/** A path may be changed between looking where it leads and opening it; then both are done again. */
const LOOKS = 3;

/** The one folder that jobs may read and write; everything else on the machine is out of their reach. */
export interface MediaRoot {
  /** The root with every symlink resolved. */
  readonly path: string;
  /**
   * Opens something for reading that is surely inside the root: the check and the opening are about the same thing.
   * It may be a folder or a pipe; nothing is waited for.
   *
   * @throws MirumojiError `PATH_OUTSIDE_MEDIA_ROOT`; node's own errors, such as ENOENT
   */
  openExisting(path: string, field: string): Promise<FileHandle>;
  /**
   * The folder of a file that may be written, held open, and the file's place in it.
   *
   * @param options.create - whether missing folders are made; otherwise the lowest one that exists is held
   * @throws MirumojiError `PATH_OUTSIDE_MEDIA_ROOT`; node's own errors
   */
  holdTarget(path: string, field: string, options: { readonly create: boolean }): Promise<HeldTarget>;
  /**
   * The place where a file may be written: its folder need not exist yet, but the part that does must lie
   * inside the root when symlinks are followed.
   *
   * @throws MirumojiError `PATH_OUTSIDE_MEDIA_ROOT`
   */
  resolveTarget(path: string, field: string): Promise<string>;
}

/** The place of a file that may be written. */
export interface HeldTarget {
  readonly folder: HeldFolder;
  /** False when the folder is one above the file's own, which is missing. */
  readonly isOwnFolder: boolean;
  readonly name: string;
  /** Its path below the root without any symlink; the same file has the same one. */
  readonly realPath: string;
}

/**
 * Opens the media root.
 *
 * @throws MirumojiError `CONFIG_INVALID` when the folder does not exist
 */
export async function openMediaRoot(folder: string): Promise<MediaRoot> {
  let root: string;
  try {
    root = await realpath(resolve(folder));
  } catch (cause) {
    throw new MirumojiError(
      "CONFIG_INVALID",
      `HOST_MEDIA_PATH: ${folder} does not exist; create it or name another`,
      {
        cause,
      },
    );
  }
  const contain = (real: string, path: string, field: string): string => {
    const inside = relative(root, real);
    if (inside === ".." || inside.startsWith(`..${sep}`) || resolve(root, inside) !== real) {
      throw new MirumojiError(
        "PATH_OUTSIDE_MEDIA_ROOT",
        `${field} ${JSON.stringify(path)} leads out of the media root through a symlink`,
      );
    }
    return real;
  };
  const partsOf = (real: string): string[] => relative(root, real).split(sep).filter(Boolean);
  return {
    path: root,
    async openExisting(path, field) {
      checkMediaPath(path, field);
      return await looking(async () => {
        const real = contain(await realpath(join(root, path)), path, field);
        if (real === root) return await open(root, constants.O_RDONLY);
        await using parent = await holdFolder(root, partsOf(dirname(real)), { create: false });
        const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
        const handle = await open(parent.entry(basename(real)), flags);
        try {
          await parent.assertSame();
          return handle;
        } catch (error) {
          await handle.close();
          throw error;
        }
      });
    },
    async holdTarget(path, field, { create }) {
      checkMediaPath(path, field);
      const target = join(root, path);
      if (target === root) {
        const what = `${field} ${JSON.stringify(path)}`;
        throw new MirumojiError("PATH_OUTSIDE_MEDIA_ROOT", `${what} is the media root; name a file in it`);
      }
      return await looking(async () => {
        const { real, missing } = await realFolder(dirname(target), root);
        contain(join(real, ...missing, basename(target)), path, field);
        const parts = partsOf(real);
        const held = await holdFolder(root, create ? [...parts, ...missing] : parts, { create });
        return {
          folder: held,
          isOwnFolder: create || missing.length === 0,
          name: basename(target),
          realPath: [...parts, ...missing, basename(target)].join("/"),
        };
      });
    },
    async resolveTarget(path, field) {
      checkMediaPath(path, field);
      const target = join(root, path);
      const { real, missing } = await realFolder(dirname(target), root);
      return contain(join(real, ...missing, basename(target)), path, field);
    },
  };
}

/** Does it again when a path leads elsewhere than a moment before. */
async function looking<T>(look: () => Promise<T>): Promise<T> {
  for (let looks = 1; ; looks++) {
    try {
      return await look();
    } catch (error) {
      if (looks >= LOOKS || !hasErrno(error, "ENOTDIR", "ELOOP")) throw error;
    }
  }
}

/** The real path of the part of a folder's path that exists, and the names below it that do not. */
async function realFolder(folder: string, root: string): Promise<{ real: string; missing: string[] }> {
  try {
    return { real: await realpath(folder), missing: [] };
  } catch (error) {
    if (!isMissing(error) || folder === root || dirname(folder) === folder) throw error;
    const { real, missing } = await realFolder(dirname(folder), root);
    return { real, missing: [...missing, basename(folder)] };
  }
}
