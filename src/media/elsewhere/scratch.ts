import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { descriptorPath, HAS_DESCRIPTOR_PATHS } from "../held-folder.ts";

/** A temporary file without a name, which is gone with this process, however that ends. */
export interface Scratch extends AsyncDisposable {
  readonly handle: FileHandle;
  /** Leads to it, here and in programs that are started here. */
  readonly path: string;
}

/**
 * Makes one in a folder. Where files cannot be named by their descriptors it keeps its name until it is disposed of.
 *
 * @throws node's own errors
 */
export async function openScratch(folder: string): Promise<Scratch> {
  const named = join(folder, `.mirumoji-scratch-${randomUUID()}`);
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const handle = await open(named, flags, 0o600);
  if (HAS_DESCRIPTOR_PATHS) await rm(named, { force: true });
  return {
    handle,
    path: HAS_DESCRIPTOR_PATHS ? descriptorPath(handle).replace("self", String(process.pid)) : named,
    [Symbol.asyncDispose]: async () => {
      await handle.close();
      if (!HAS_DESCRIPTOR_PATHS) await rm(named, { force: true });
    },
  };
}
