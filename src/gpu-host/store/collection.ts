import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { z } from "zod";
import type { Log } from "../log.ts";
import { syncFile } from "./disk.ts";

/**
 * Records of one kind, in memory and as one small JSON file each.
 *
 * Writes are synchronous and go through a rename: a record is written before the RPC that made it is answered, and a
 * host that is killed at any moment finds whole records only. A power cut can leave the newest ones empty or old,
 * except those that were given to `sync`.
 */
export class Collection<T extends { readonly id: string }> {
  readonly #directory: string;
  readonly #records = new Map<string, T>();

  /** Reads the directory. A file that holds no record is moved to `unreadable`, with a warning that names it. */
  constructor(options: { directory: string; schema: z.ZodType<T>; unreadable: string; log: Log }) {
    const { directory, schema, unreadable, log } = options;
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
    for (const name of readdirSync(directory)) {
      const file = join(directory, name);
      if (!name.endsWith(".json")) {
        rmSync(file, { force: true });
        continue;
      }
      const record = schema.safeParse(parsed(readFileSync(file, "utf8"))).data;
      if (record !== undefined && `${record.id}.json` === name) {
        this.#records.set(record.id, record);
        continue;
      }
      mkdirSync(unreadable, { recursive: true });
      const movedTo = join(unreadable, `${basename(directory)}-${name}`);
      renameSync(file, movedTo);
      log.warn(
        { file, movedTo },
        "a record cannot be read, as after a power cut; the host goes on without it",
      );
    }
  }

  get(id: string): T | undefined {
    return this.#records.get(id);
  }

  has(id: string): boolean {
    return this.#records.has(id);
  }

  all(): IterableIterator<T> {
    return this.#records.values();
  }

  put(record: T): T {
    const file = this.#file(record.id);
    writeFileSync(`${file}.new`, JSON.stringify(record), { mode: 0o600 });
    renameSync(`${file}.new`, file);
    this.#records.set(record.id, record);
    return record;
  }

  /** Changes some fields of a record that is known to be there. */
  patch(id: string, changes: Partial<T>): T {
    const record = this.#records.get(id);
    if (record === undefined) throw new Error(`No record ${id}`);
    return this.put({ ...record, ...changes });
  }

  remove(id: string): void {
    if (!this.#records.delete(id)) return;
    rmSync(this.#file(id), { force: true });
  }

  /** Makes a record outlive a power cut. */
  async sync(id: string): Promise<void> {
    await syncFile(this.#file(id));
  }

  #file(id: string): string {
    return join(this.#directory, `${id}.json`);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
