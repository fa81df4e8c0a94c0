import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Tells whether the machine lost its power while a host used a data folder. */
export class PowerMark {
  readonly #file: string;
  /** True when the last host was not closed and the machine has started anew since: unsynced files may be damaged. */
  readonly wasLost: boolean;

  /** `bootId` is different each time the machine starts, and undefined where that cannot be known. */
  constructor(directory: string, bootId: string | undefined) {
    this.#file = join(directory, "boot");
    const before = read(this.#file);
    this.wasLost = before !== undefined && bootId !== undefined && before !== bootId;
    if (bootId !== undefined) writeFileSync(this.#file, bootId);
  }

  /** For a host that is closed in good order. */
  remove(): void {
    rmSync(this.#file, { force: true });
  }
}

/** Linux gives one; elsewhere a power cut goes unnoticed. */
export function currentBootId(): string | undefined {
  return read("/proc/sys/kernel/random/boot_id")?.trim();
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
