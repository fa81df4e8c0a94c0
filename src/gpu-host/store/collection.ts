import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Records of one kind, in memory and as one small JSON file each.
 *
 * Writes are synchronous and go through a rename, so a record is on disk before the RPC that made it is
 * answered, and a host that is killed at any moment finds whole records only.
 */
export class Collection<T extends { readonly id: string }> {
  readonly #directory: string;
  readonly #records = new Map<string, T>();

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
    for (const name of readdirSync(directory)) {
      const file = join(directory, name);
      if (!name.endsWith(".json")) {
        rmSync(file, { force: true });
        continue;
      }
      const record = JSON.parse(readFileSync(file, "utf8")) as T;
      this.#records.set(record.id, record);
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

  #file(id: string): string {
    return join(this.#directory, `${id}.json`);
  }
}
