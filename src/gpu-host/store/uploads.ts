import { createHash } from "node:crypto";
import { chmod, link, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { alreadyExists, failedPrecondition } from "../failures.ts";
import { KeyedLock } from "./keyed-lock.ts";
import { type PlannedFile, Staging } from "./staging.ts";
import { VolumeDirectory } from "./volume-paths.ts";

/** What identifies the content of a file in a volume, remembered beside it when it is committed. */
interface Manifest {
  readonly sizeBytes: number;
  readonly mtimeMs: number;
  readonly digests: readonly string[];
}

export interface Upload {
  readonly id: string;
  readonly file: PlannedFile;
  /** Blocks that still have to be sent. */
  readonly missing: readonly number[];
  /** The volume holds exactly this file already. */
  readonly unchanged: boolean;
}

/** Version 2 uploads: plan, receive blocks, commit by a rename. */
export class Uploads {
  readonly #volumesPath: string;
  readonly #locks = new KeyedLock();

  constructor(volumesPath: string) {
    this.#volumesPath = volumesPath;
  }

  /** Runs one change of a volume's files at a time. */
  exclusively<T>(volumeId: string, change: () => Promise<T>): Promise<T> {
    return this.#locks.run(volumeId, change);
  }

  async plan(volumeId: string, file: PlannedFile): Promise<Upload> {
    const directory = new VolumeDirectory(this.#volumesPath, volumeId);
    const id = Staging.uploadId(file);
    if (await this.#isUnchanged(directory, file)) return { id, file, missing: [], unchanged: true };
    const missing = await new Staging(directory.staging, id).missing(file);
    return { id, file, missing, unchanged: false };
  }

  /** Receives one block; of two senders of the same block the second waits for the first. */
  receive(block: {
    volumeId: string;
    uploadId: string;
    index: number;
    digest: string;
    source: AsyncIterable<Uint8Array>;
  }): Promise<void> {
    const directory = new VolumeDirectory(this.#volumesPath, block.volumeId);
    const staging = new Staging(directory.staging, block.uploadId);
    const key = `${block.volumeId}/${block.uploadId}/${block.index}`;
    return this.#locks.run(key, () => staging.write(block.index, block.digest, block.source));
  }

  async commit(volumeId: string, upload: Upload, mode: number, overwrite: boolean): Promise<void> {
    if (upload.unchanged) return;
    const directory = new VolumeDirectory(this.#volumesPath, volumeId);
    const staging = new Staging(directory.staging, upload.id);
    const target = directory.file(upload.file.path);
    await chmod(staging.dataFile, safeMode(mode));
    await moveInto(staging.dataFile, target, upload.file.path, overwrite);
    await rm(staging.marksFile, { force: true });
    const { mtimeMs } = await stat(target);
    await this.#remember(directory, upload.file, mtimeMs);
  }

  async #isUnchanged(directory: VolumeDirectory, file: PlannedFile): Promise<boolean> {
    try {
      const text = await readFile(manifestFile(directory, file.path), "utf8");
      const manifest = JSON.parse(text) as Manifest;
      const { size, mtimeMs } = await stat(directory.file(file.path));
      const untouched = size === manifest.sizeBytes && mtimeMs === manifest.mtimeMs;
      return untouched && size === file.sizeBytes && String(manifest.digests) === String(file.digests);
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  }

  async #remember(directory: VolumeDirectory, file: PlannedFile, mtimeMs: number): Promise<void> {
    const manifest: Manifest = { sizeBytes: file.sizeBytes, mtimeMs, digests: file.digests };
    await writeFile(manifestFile(directory, file.path), JSON.stringify(manifest));
  }
}

/** Puts a finished file at its place; without `overwrite` the check and the move are one step. */
export async function moveInto(
  from: string,
  target: string,
  path: string,
  overwrite: boolean,
): Promise<void> {
  try {
    await mkdir(dirname(target), { recursive: true });
    if (overwrite) return await rename(from, target);
    await link(from, target);
    await rm(from);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "EEXIST" && !overwrite) throw alreadyExists(path);
    if (code === "EEXIST" || code === "ENOTDIR" || code === "EISDIR") {
      throw failedPrecondition(`${path} cannot be written: a file and a directory are in each other's way`);
    }
    throw error;
  }
}

export function isMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "ENOENT" || code === "ENOTDIR";
}

/** The uploader's permissions, as far as this host keeps being able to read and replace the file. */
export function safeMode(mode: number): number {
  return (mode & 0o777) | 0o600;
}

function manifestFile(directory: VolumeDirectory, path: string): string {
  return join(directory.manifests, createHash("sha256").update(path).digest("hex"));
}
