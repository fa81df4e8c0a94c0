import { mkdirSync, readdirSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { notFound } from "../failures.ts";
import type { Log } from "../log.ts";
import type { VolumeRecord } from "./records.ts";
import { newId, type State } from "./state.ts";
import { VolumeDirectory } from "./volume-paths.ts";

/** The life of volumes: made, kept alive by heartbeats, deleted or expired. */
export class Volumes {
  readonly #state: State;
  readonly #ttlMs: number;
  readonly #now: () => number;
  readonly #log: Log;
  /** The live volumes. Not durable: after a restart every volume has its full time again. */
  readonly #lastSeen = new Map<string, number>();
  readonly #removals = new Set<Promise<void>>();

  constructor(options: { state: State; ttlMs: number; now: () => number; log: Log }) {
    this.#state = options.state;
    this.#ttlMs = options.ttlMs;
    this.#now = options.now;
    this.#log = options.log;
    for (const { id, state } of this.#state.volumes.all()) {
      if (state === "live") this.#lastSeen.set(id, this.#now());
    }
    this.removeOrphans();
  }

  create(options: { version: number; name?: string; environment: string }): VolumeRecord {
    const id = newId("vo");
    const { files, staging, manifests } = this.directory(id);
    for (const path of [files, staging, manifests]) mkdirSync(path, { recursive: true });
    this.#lastSeen.set(id, this.#now());
    return this.#state.volumes.put({
      id,
      version: options.version,
      name: options.name ?? "",
      environment: options.environment,
      createdAt: this.#now(),
      state: "live",
    });
  }

  /** A volume that is there; NOT_FOUND when it never was or is no more. */
  get(id: string): VolumeRecord {
    this.#expireIfDue(id);
    const volume = this.#state.volumes.get(id);
    if (volume?.state !== "live") throw notFound(`Volume ${id}`);
    return volume;
  }

  findNamed(name: string, environment: string): VolumeRecord | undefined {
    return this.named(environment).find((volume) => volume.name === name);
  }

  named(environment: string): VolumeRecord[] {
    return [...this.#state.volumes.all()].filter((volume) => {
      return volume.state === "live" && volume.name !== "" && volume.environment === environment;
    });
  }

  rename(id: string, name: string): void {
    this.#state.volumes.patch(id, { name });
  }

  heartbeat(id: string): void {
    this.#lastSeen.set(this.get(id).id, this.#now());
  }

  async delete(id: string): Promise<void> {
    await this.#end(this.get(id), "deleted");
  }

  /** Makes a volume disappear as if its time had run out. */
  vanish(id: string): void {
    void this.#end(this.get(id), "expired");
  }

  /** Ends the ephemeral volumes whose heartbeats have stopped. */
  sweep(): void {
    for (const id of this.#lastSeen.keys()) this.#expireIfDue(id);
  }

  /** Removes directories without a live volume, such as those of a host that died while it deleted. */
  removeOrphans(): void {
    for (const id of readdirSync(this.#state.paths.volumes)) {
      if (!this.#lastSeen.has(id)) void this.#remove(id);
    }
  }

  /**
   * Lets go of what may be damaged after a power cut: ephemeral volumes, whose files are never flushed to the disk, and
   * half-done uploads. Clients make a lost volume again.
   */
  async forgetUnsynced(): Promise<void> {
    for (const { id, name, state } of this.#state.volumes.all()) {
      if (state !== "live") continue;
      const volume = this.get(id);
      if (name === "") await this.#end(volume, "expired");
      else await emptyDirectory(this.directory(id).staging);
    }
  }

  directory(id: string): VolumeDirectory {
    return new VolumeDirectory(this.#state.paths.volumes, id);
  }

  /** Resolves when the removals under way are done. */
  async settled(): Promise<void> {
    await Promise.all(this.#removals);
  }

  #expireIfDue(id: string): void {
    const seen = this.#lastSeen.get(id);
    const volume = this.#state.volumes.get(id);
    if (seen === undefined || volume === undefined || volume.name !== "") return;
    if (this.#now() - seen > this.#ttlMs) void this.#end(volume, "expired");
  }

  async #end(volume: VolumeRecord, state: "deleted" | "expired"): Promise<void> {
    this.#state.volumes.patch(volume.id, { state, endedAt: this.#now() });
    this.#lastSeen.delete(volume.id);
    this.#log.info({ volumeId: volume.id, state }, "volume ended");
    await this.#remove(volume.id);
  }

  async #remove(id: string): Promise<void> {
    const removal = rm(this.directory(id).root, { recursive: true, force: true, maxRetries: 3 })
      .catch((error: unknown) => this.#log.warn({ volumeId: id, error }, "volume not removed from disk"))
      .finally(() => this.#removals.delete(removal));
    this.#removals.add(removal);
    await removal;
  }
}

async function emptyDirectory(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
  await mkdir(path);
}
