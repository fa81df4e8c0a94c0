import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { notFound } from "../failures.ts";
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
    await writeFile(this.file(id), data);
    return id;
  }

  /** Takes an upload; gives the MD5 that S3-like stores answer with. */
  async receive(id: string, source: AsyncIterable<Buffer>, expectedMd5: string | undefined): Promise<string> {
    const hash = createHash("md5");
    const partial = `${this.file(id)}.${newId("part")}`;
    const hashing = async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        hash.update(chunk);
        yield chunk;
      }
    };
    try {
      await pipeline(source, hashing, createWriteStream(partial));
      const digest = hash.digest();
      if (expectedMd5 !== undefined && digest.toString("base64") !== expectedMd5) {
        throw new BlobRefused("The blob's MD5 is not the announced one");
      }
      await rename(partial, this.file(id));
      return digest.toString("hex");
    } finally {
      await rm(partial, { force: true });
    }
  }

  async read(id: string): Promise<Buffer> {
    await this.sizeBytes(id);
    return await readFile(this.file(id));
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
