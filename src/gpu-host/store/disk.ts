/** Gets files onto the disk itself, where they outlive a power cut. */
import { open, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Flushes a file's content, and the directory that names it. */
export async function syncFile(path: string): Promise<void> {
  await sync(path);
  await sync(dirname(path));
}

/** Flushes every file and directory below a directory, and its own name. */
export async function syncTree(directory: string): Promise<void> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  await Promise.all(entries.map(async (entry) => await sync(join(entry.parentPath, entry.name))));
  await sync(directory);
  await sync(dirname(directory));
}

async function sync(path: string): Promise<void> {
  await using file = await open(path, "r");
  await file.sync();
}
