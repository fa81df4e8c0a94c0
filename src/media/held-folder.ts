import { constants, existsSync } from "node:fs";
import { type FileHandle, mkdir, open, realpath } from "node:fs/promises";
import { join } from "node:path";
import { hasErrno } from "./errno.ts";

/** Opens a folder only to name things in it; needs no permission to read it. Node does not name this flag (Linux). */
const O_PATH = 0o10000000;

/** Where an open folder can be named by its descriptor, as `openat` does; Linux. */
export const HAS_DESCRIPTOR_PATHS = process.platform === "linux" && existsSync("/proc/self/fd");

/** A folder that stays the same one, whatever its path is made to lead to meanwhile. */
export interface HeldFolder extends AsyncDisposable {
  /** Path of an entry of this very folder; the entry itself may be a symlink. */
  entry(name: string): string;
  /** Makes new names in it durable. */
  sync(): Promise<void>;
  /**
   * To be called after an entry was opened and before it is used. Throws `ENOTDIR` where the folder could not be held
   * and another one has taken its place; needed where there is no `/proc`.
   */
  assertSame(): Promise<void>;
}

/**
 * Opens a folder below a root, one part of its path after the other, following no symlink.
 *
 * @param root - with every symlink resolved
 * @param parts - names of folders, each in the one before
 * @param options.create - whether missing ones are made
 * @throws node's own errors: `ENOENT`, and `ENOTDIR` for symlinks and files
 */
export async function holdFolder(
  root: string,
  parts: readonly string[],
  { create }: { readonly create: boolean },
): Promise<HeldFolder> {
  if (!HAS_DESCRIPTOR_PATHS) return await namedFolder(root, parts, create);
  let handle = await open(root, O_PATH | constants.O_DIRECTORY);
  for (const part of parts) {
    const parent = handle;
    try {
      handle = await openPart(descriptorPath(parent, part), create);
    } finally {
      await parent.close();
    }
  }
  return {
    entry: (name) => descriptorPath(handle, name),
    sync: async () => await syncFolder(descriptorPath(handle, ".")),
    assertSame: async () => await Promise.resolve(),
    [Symbol.asyncDispose]: async () => await handle.close(),
  };
}

/** A path that leads to what is open, or to an entry of an open folder, in every thread of this process. */
export function descriptorPath(handle: FileHandle, ...names: readonly string[]): string {
  // Not joined: `.` stands for the folder itself and must stay.
  return [`/proc/self/fd/${handle.fd}`, ...names].join("/");
}

async function openPart(path: string, create: boolean): Promise<FileHandle> {
  const flags = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  try {
    return await open(path, flags);
  } catch (error) {
    if (!create || !hasErrno(error, "ENOENT")) throw error;
    await makeFolder(path);
    return await open(path, flags);
  }
}

async function namedFolder(root: string, parts: readonly string[], create: boolean): Promise<HeldFolder> {
  let path = root;
  const assertSame = async () => {
    if ((await realpath(path)) !== path) {
      throw Object.assign(new Error(`ENOTDIR: ${path} leads elsewhere`), { code: "ENOTDIR" });
    }
  };
  for (const part of parts) {
    path = join(path, part);
    if (create) await makeFolder(path);
    await assertSame();
  }
  return {
    entry: (name) => join(path, name),
    sync: async () => await syncFolder(path),
    assertSame,
    [Symbol.asyncDispose]: async () => await Promise.resolve(),
  };
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path).catch((error: unknown) => {
    if (!hasErrno(error, "EEXIST")) throw error;
  });
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r").catch((error: unknown) => {
    // A folder that may be written but not read cannot be flushed by itself.
    if (hasErrno(error, "EACCES", "EPERM")) return null;
    throw error;
  });
  if (handle === null) return;
  try {
    await handle.sync();
  } catch (error) {
    // Some network file systems cannot.
    if (!hasErrno(error, "EINVAL", "ENOTSUP", "ENOSYS")) throw error;
  } finally {
    await handle.close();
  }
}
