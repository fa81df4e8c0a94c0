import { MirumojiError } from "../job/errors.ts";

/**
 * A path inside a volume as people write it: without slashes around it, empty for the volume itself.
 *
 * @throws MirumojiError `VOLUME_PATH_INVALID`
 */
export function remotePath(text: string): string {
  if (text.includes("\0")) throw invalid(text, "holds a NUL character");
  const parts = text.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw invalid(text, "leaves the volume by `..`");
  return parts.join("/");
}

/** Where a local file or folder goes: into `target` when that ends with a slash, else under that name. */
export function putTarget(localName: string, target: string): string {
  const path = remotePath(target);
  if (path !== "" && !target.endsWith("/")) return path;
  return path === "" ? localName : `${path}/${localName}`;
}

/**
 * The part of an entry's path below the folder that was listed. What a server lists is not trusted: an
 * entry that is not below that folder, or would lead out of it on this machine, is refused.
 *
 * @throws MirumojiError `VOLUME_PATH_INVALID`
 */
export function pathBelow(folder: string, entry: string): string {
  const prefix = folder === "" ? "" : `${folder}/`;
  const rest = entry.startsWith(prefix) ? entry.slice(prefix.length) : "";
  const isPlain = rest.split("/").every((part) => part !== "" && part !== "." && part !== "..");
  if (!isPlain || rest.includes("\0")) {
    throw invalid(entry, "was listed by the server but cannot be a file below the folder that was asked for");
  }
  return rest;
}

/** The last part of a path. */
export function lastPart(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** A problem with one path, told with the path. */
export function invalid(path: string, why: string): MirumojiError {
  return new MirumojiError("VOLUME_PATH_INVALID", `${JSON.stringify(path.slice(0, 200))} ${why}`);
}
