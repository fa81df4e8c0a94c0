import { createHash } from "node:crypto";
import { copyFile, link, mkdir, rename, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { failedPrecondition, invalidArgument } from "../failures.ts";
import { hashFile } from "../../media/hash-file.ts";
import { newId } from "./state.ts";

/** File contents by their SHA-256: mounted source files, and files for version 1 volumes. */
export class Contents {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async has(sha256: string): Promise<boolean> {
    const file = this.#file(sha256);
    if ((await stat(file).catch(() => undefined)) === undefined) return false;
    // The caller relies on the answer for a while, so its time starts again.
    await utimes(file, new Date(), new Date());
    return true;
  }

  async put(sha256: string, data: Uint8Array): Promise<void> {
    refuseUnless(createHash("sha256").update(data).digest("hex") === sha256);
    const partial = join(this.#directory, newId("part"));
    await writeFile(partial, data, { flush: true });
    await rename(partial, this.#file(sha256));
  }

  /** Takes a file over. */
  async adopt(sha256: string, file: string): Promise<void> {
    refuseUnless((await hashFile(file)).sha256 === sha256);
    await rename(file, this.#file(sha256));
  }

  /** Copies the content to a place that may be changed there. */
  async copyTo(sha256: string, target: string): Promise<void> {
    await this.#require(sha256);
    await mkdir(dirname(target), { recursive: true });
    await copyFile(this.#file(sha256), target);
  }

  /** Gives the content a second name, at no cost whatever its size. */
  async linkTo(sha256: string, target: string): Promise<void> {
    await this.#require(sha256);
    await link(this.#file(sha256), target);
  }

  async #require(sha256: string): Promise<void> {
    if (!(await this.has(sha256))) throw failedPrecondition(`The content ${sha256} was not uploaded`);
  }

  #file(sha256: string): string {
    if (!/^[0-9a-f]{64}$/.test(sha256)) throw invalidArgument(`${sha256} is not a SHA-256`);
    return join(this.#directory, sha256);
  }
}

function refuseUnless(isRight: boolean): void {
  if (!isRight) throw invalidArgument("The content's SHA-256 is not the announced one");
}
