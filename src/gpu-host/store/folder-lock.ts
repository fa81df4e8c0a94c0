import { type FileHandle, mkdir, open } from "node:fs/promises";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { z } from "zod";
import { MirumojiError } from "../../job/errors.ts";
import type { Log } from "../log.ts";

const holderSchema = z.object({ pid: z.number(), machine: z.string(), since: z.string() });

/**
 * Keeps every other host off a data folder, until it is closed or this process is gone: the lock is the
 * kernel's (`fcntl`), so a host that was killed leaves none behind. Containers that share the folder on one
 * machine see each other's. Where there is no program for it (systems with musl, such as Alpine) the log warns.
 *
 * @throws MirumojiError `GPU_HOST_FOLDER_IN_USE`, with the process that has it
 */
export async function lockFolder(dataDir: string, log: Log, now: () => number): Promise<FileHandle> {
  await mkdir(dataDir, { recursive: true });
  // Not emptied by opening: until we have the lock, its content belongs to the holder.
  const file = await open(join(dataDir, "lock"), "a+", 0o600);
  try {
    const native = await import("fs-native-extensions").catch((err: unknown) => {
      log.warn({ err, dataDir }, "The data folder cannot be locked here: let no other GPU host use it");
      return null;
    });
    if (native?.tryLock(file.fd) === false) throw inUse(dataDir, await file.readFile("utf8"));
    const holder = { pid: process.pid, machine: hostname(), since: new Date(now()).toISOString() };
    await file.truncate(0);
    await file.write(JSON.stringify(holder));
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

function inUse(dataDir: string, text: string): MirumojiError {
  const holder = holderSchema.safeParse(parsed(text)).data;
  const who =
    holder === undefined
      ? "a process that has just started"
      : `process ${holder.pid} on ${holder.machine}, since ${holder.since}`;
  return new MirumojiError(
    "GPU_HOST_FOLDER_IN_USE",
    `${resolve(dataDir)} is the data folder of another GPU host: ${who}. Stop that one, or give this one another ` +
      "folder with MIRUMOJI_GPU_HOST_DATA",
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
