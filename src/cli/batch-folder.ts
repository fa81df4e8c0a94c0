import { isAbsolute, join, posix, relative, resolve } from "node:path";
import { glob } from "tinyglobby";
import type { BatchRequest } from "../client/batches.ts";
import type { JobType } from "../job/contract.ts";
import { MirumojiError } from "../job/errors.ts";
import { openMediaRoot } from "../media/media-root.ts";
import { clientEnvironment } from "./dev-session.ts";

/** Files that a folder is searched for unless a pattern says otherwise. */
export const MEDIA_GLOB =
  "*.{mkv,mp4,m4v,mov,webm,avi,ts,m2ts,mts,mpg,mpeg,wmv,flv,mp3,m4a,aac,wav,flac,ogg,opus}";

/**
 * A job for each file of a folder that the pattern matches, in the order in which people count: episode 2 before
 * episode 10. `folder` is relative to the media root, which has to be on this machine.
 *
 * @throws MirumojiError `CONFIG_INVALID`, `REQUEST_INVALID`
 */
export async function folderItems(
  type: JobType,
  folder: string,
  { pattern, request }: { readonly pattern: string; readonly request: object },
): Promise<BatchRequest["items"]> {
  const { mediaRoot } = clientEnvironment();
  if (mediaRoot === null) {
    throw new MirumojiError(
      "CONFIG_INVALID",
      "HOST_MEDIA_PATH must name the media root, which is searched here",
    );
  }
  const { path: root } = await openMediaRoot(mediaRoot);
  const inside = isAbsolute(folder) ? relative(root, resolve(folder)) : folder;
  const place = join(root, inside);
  if (relative(root, place).startsWith("..")) {
    throw new MirumojiError("PATH_OUTSIDE_MEDIA_ROOT", `${folder} is not inside the media root`);
  }
  const names = await glob(pattern, { cwd: place, followSymbolicLinks: false, caseSensitiveMatch: false });
  if (names.length === 0) {
    throw new MirumojiError("REQUEST_INVALID", `no file in ${folder} matches ${pattern}`);
  }
  const counted = new Intl.Collator("en", { numeric: true });
  return names
    .toSorted((a, b) => counted.compare(a, b) || (a < b ? -1 : 1))
    .map((name) => ({ type, request: { ...request, input: posix.join(inside, name) } }));
}
