import { type FileHandle, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { notFound } from "../failures.ts";
import type { Receive } from "./landing.ts";
import { newId } from "./state.ts";

/** The bytes of an upload are not the announced ones. */
export class BlobRefused extends Error {}

/** Payloads too big for a message, one file each. */
export class Blobs {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** A name for a blob to come. */
  reserve(): string {
    return newId("bl");
  }

  async put(data: Uint8Array): Promise<string> {
    const id = this.reserve();
    await writeFile(this.file(id), data, { flush: true });
    return id;
  }

  /** Takes an upload; gives the MD5 that S3-like stores answer with. */
  async receive(id: string, receive: Receive, expectedMd5: string | undefined): Promise<string> {
    const partial = `${this.file(id)}.${newId("part")}`;
    try {
      const md5 = await writeHashed(partial, receive);
      if (expectedMd5 !== undefined && Buffer.from(md5, "hex").toString("base64") !== expectedMd5) {
        throw new BlobRefused("The blob's MD5 is not the announced one");
      }
      await rename(partial, this.file(id));
      return md5;
    } finally {
      await rm(partial, { force: true });
    }
  }

  async read(id: string): Promise<Buffer> {
    await this.sizeBytes(id);
    return await readFile(this.file(id));
  }

  async open(id: string): Promise<FileHandle> {
    await this.sizeBytes(id);
    return await open(this.file(id));
  }

  async sizeBytes(id: string): Promise<number> {
    const found = await stat(this.file(id)).catch(() => undefined);
    if (found === undefined) throw notFound(`Blob ${id}`);
    return found.size;
  }

  async delete(id: string): Promise<void> {
    await rm(this.file(id), { force: true });
  }

  file(id: string): string {
    if (!/^bl-[0-9a-f]+$/.test(id)) throw notFound(`Blob ${id}`);
    return join(this.#directory, id);
  }
}

async function writeHashed(path: string, receive: Receive): Promise<string> {
  await using file = await open(path, "wx");
  const landing = { file, position: 0, limit: Number.POSITIVE_INFINITY, algorithm: "md5" } as const;
  const { digest } = await receive(landing);
  // Records refer to blobs, so a blob must not be lost where its record is kept.
  await file.datasync();
  return digest;
}
