import { createHash } from "node:crypto";
import { link, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { alreadyExists, failedPrecondition } from "../failures.ts";
import { z } from "zod";
import { syncFile } from "./disk.ts";
import { KeyedLock } from "./keyed-lock.ts";
import type { Receive } from "./landing.ts";
import { type PlannedFile, Staging } from "./staging.ts";
import { VolumeDirectory } from "./volume-paths.ts";

/** Identity of a file's content in a volume, kept beside it from its commit on. */
const manifestSchema = z.object({ sizeBytes: z.number(), mtimeMs: z.number(), digests: z.array(z.string()) });
type Manifest = z.infer<typeof manifestSchema>;

export interface Upload {
  readonly id: string;
  readonly file: PlannedFile;
  /** Blocks that still have to be sent. */
  readonly missing: readonly number[];
  /** The volume holds exactly this file already. */
  readonly unchanged: boolean;
}

export interface BlockToCome {
  readonly volumeId: string;
  readonly uploadId: string;
  readonly index: number;
  /** How many bytes the file has there. */
  readonly lengthBytes: number;
  readonly digest: string;
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
    const current = await this.#current(directory, file.path);
    const { sizeBytes, digests } = file;
    if (current?.sizeBytes === sizeBytes && String(current.digests) === String(digests)) {
      return { id, file, missing: [], unchanged: true };
    }
    const missing = (await new Staging(directory.staging, id).missing(file)).filter(
      (index) => current?.digests[file.at + index] !== digests[index],
    );
    return { id, file, missing, unchanged: false };
  }

  /** Receives one block; of two senders of the same block the second waits for the first. */
  async receive(block: BlockToCome, receive: Receive): Promise<void> {
    const { volumeId, uploadId, index, digest } = block;
    const staging = new Staging(new VolumeDirectory(this.#volumesPath, volumeId).staging, uploadId);
    const key = `${volumeId}/${uploadId}`;
    await this.#locks.run(`${key}/${index}`, async () => {
      const arrival = await this.#locks.run(key, async () => await staging.begin(index, digest));
      await staging.write(arrival, block, receive);
    });
  }

  /**
   * Puts the file at its place.
   *
   * @param options.durable whether the file is to outlive a power cut
   * @returns blocks that another upload of the same beginning has begun to replace meanwhile; none when done
   */
  async commit(
    volumeId: string,
    upload: Upload,
    options: { readonly mode: number; readonly overwrite: boolean; readonly durable: boolean },
  ): Promise<readonly number[]> {
    if (upload.unchanged) return [];
    const { id, file } = upload;
    const directory = new VolumeDirectory(this.#volumesPath, volumeId);
    const staging = new Staging(directory.staging, id);
    const target = directory.file(file.path);
    return await this.#locks.run(`${volumeId}/${id}`, async () => {
      const current = await this.#current(directory, file.path);
      const toCome = await staging.missing(file);
      const replaced = toCome.filter((index) => current?.digests[index] !== file.digests[index]);
      if (replaced.length > 0) return replaced;
      for (const index of toCome) await staging.copy(index, file, target);
      await staging.finish(file.sizeBytes, safeMode(options.mode), async (finished) => {
        if (options.durable) await syncFile(finished);
        await moveInto(finished, target, file.path, options.overwrite);
      });
      await this.#remember(directory, file, (await stat(target)).mtimeMs);
      return [];
    });
  }

  /** The manifest of the file at a path; undefined when there is none, or a function has written the file since. */
  async #current(directory: VolumeDirectory, path: string): Promise<Manifest | undefined> {
    try {
      const manifest = parsedManifest(await readFile(manifestFile(directory, path), "utf8"));
      const { size, mtimeMs } = await stat(directory.file(path));
      return size === manifest?.sizeBytes && mtimeMs === manifest.mtimeMs ? manifest : undefined;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  async #remember(directory: VolumeDirectory, file: PlannedFile, mtimeMs: number): Promise<void> {
    const manifest: Manifest = { sizeBytes: file.sizeBytes, mtimeMs, digests: [...file.digests] };
    await writeFile(manifestFile(directory, file.path), JSON.stringify(manifest));
  }
}

/** A manifest; undefined when the text is damaged, as after a power cut. */
function parsedManifest(text: string): Manifest | undefined {
  try {
    return manifestSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
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
