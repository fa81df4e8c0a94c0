import { MirumojiError } from "../job/errors.ts";

/**
 * Normalises a path inside a volume: no slashes around it, empty for the volume itself.
 *
 * @throws MirumojiError `VOLUME_PATH_INVALID`
 */
export function remotePath(text: string): string {
  if (text.includes("\0")) throw invalid(text, "holds a NUL character");
  const parts = text.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw invalid(text, "leaves the volume by `..`");
  return parts.join("/");
}

/**
 * Destination of a local file or folder: inside `target` when that ends with a slash, else `target` itself.
 */
export function putTarget(localName: string, target: string): string {
  const path = remotePath(target);
  if (path !== "" && !target.endsWith("/")) return path;
  return path === "" ? localName : `${path}/${localName}`;
}

/**
 * Path of an entry relative to the folder that was listed. Server listings are not trusted: an entry outside
 * that folder, or one that would lead out of it on this machine, is refused.
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

/** Last segment of a path. */
export function lastPart(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Error about one path, with the path in its message. */
export function invalid(path: string, why: string): MirumojiError {
  return new MirumojiError("VOLUME_PATH_INVALID", `${JSON.stringify(path.slice(0, 200))} ${why}`);
}
