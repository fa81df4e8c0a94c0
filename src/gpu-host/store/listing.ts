import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { FileType } from "../enums.ts";
import { isMissing } from "./uploads.ts";
import type { VolumeDirectory } from "./volume-paths.ts";

export interface FileEntry {
  readonly path: string;
  readonly type: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
  readonly size: number;
}

/** Lists a path: a file itself, or the content of a directory; undefined when there is nothing. */
export async function listFiles(
  directory: VolumeDirectory,
  path: string,
  recursive: boolean,
): Promise<FileEntry[] | undefined> {
  const own = await entryOf(directory, path);
  if (own === undefined) return undefined;
  if (own.type !== FileType.DIRECTORY) return [own];
  const entries: FileEntry[] = [];
  for (const name of (await readdir(directory.file(path))).toSorted()) {
    const inner = await entryOf(directory, join(path, name));
    if (inner === undefined) continue;
    entries.push(inner);
    if (recursive && inner.type === FileType.DIRECTORY) {
      entries.push(...((await listFiles(directory, inner.path, true)) ?? []));
    }
  }
  return entries;
}

async function entryOf(directory: VolumeDirectory, path: string): Promise<FileEntry | undefined> {
  try {
    const status = await lstat(directory.file(path));
    const type = status.isDirectory()
      ? FileType.DIRECTORY
      : status.isSymbolicLink()
        ? FileType.SYMLINK
        : FileType.FILE;
    const size = status.isFile() ? status.size : 0;
    return { path, type, mtime: Math.floor(status.mtimeMs / 1000), size };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
