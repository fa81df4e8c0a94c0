import { readlinkSync } from "node:fs";

/** The path of an open file for people: the one it has now where `path` only names its descriptor. */
export function shownPath(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return path;
  }
}
