import { realpath } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { MirumojiError } from "../job/errors.ts";
import { checkMediaPath } from "../job/paths.ts";
import { isMissing } from "./errno.ts";

/** The one folder that jobs may read and write; everything else on the machine is out of their reach. */
export interface MediaRoot {
  /** The root with every symlink resolved. */
  readonly path: string;
  /**
   * The real place of a file or folder that exists.
   *
   * @throws MirumojiError `PATH_OUTSIDE_MEDIA_ROOT`; node's own ENOENT when it does not exist
   */
  resolveExisting(path: string, field: string): Promise<string>;
  /**
   * The place where a file may be written: its folder need not exist yet, but the part that does must lie
   * inside the root when symlinks are followed.
   *
   * @throws MirumojiError `PATH_OUTSIDE_MEDIA_ROOT`
   */
  resolveTarget(path: string, field: string): Promise<string>;
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
  return {
    path: root,
    async resolveExisting(path, field) {
      checkMediaPath(path, field);
      return contain(await realpath(join(root, path)), path, field);
    },
    async resolveTarget(path, field) {
      checkMediaPath(path, field);
      const target = join(root, path);
      const parent = await realFolder(dirname(target), root);
      return contain(join(parent, basename(target)), path, field);
    },
  };
}

/** The real path of a folder of which only the upper part may exist. */
async function realFolder(folder: string, root: string): Promise<string> {
  try {
    return await realpath(folder);
  } catch (error) {
    if (!isMissing(error) || folder === root || dirname(folder) === folder) throw error;
    return join(await realFolder(dirname(folder), root), basename(folder));
  }
}
