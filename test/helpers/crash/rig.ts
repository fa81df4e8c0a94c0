import { once } from "node:events";
import { join } from "node:path";
import { expect } from "vitest";
import { testFolder } from "../../../support/folder.ts";
import type { WorkerProcess } from "../../../support/stack.ts";
import { Scene, type SceneRedis } from "./scene.ts";
import { type GpuHostService, type RedisService, startHost, startRedis } from "./services.ts";

/** Runs all cases; `npm test` runs a short form. */
export const IS_LONG = process.env["CRASH_LONG"] === "1";

/** Default settings of a worker; the crash tests shorten both to save time. */
export const DEFAULT_SETTINGS = { MIRUMOJI_LEASE: "15", MIRUMOJI_HEARTBEAT: "60" };

/** The services that no worker's death should hurt. */
export interface Rig extends AsyncDisposable {
  readonly redis: RedisService;
  readonly host: GpuHostService;
  /** `redis`: another one than that of the rig. */
  scene(name: string, redis?: SceneRedis): Promise<Scene>;
  /**
   * Holds the server to what must be true when every scene is over: what lives there is nobody's, and gone as
   * soon as the server misses its heartbeats. `orphans`: how many there must be, where that is known.
   */
  expectNothingLeft(orphans?: number): Promise<void>;
}

/** Waits until a worker has killed itself; when that was. */
export async function death({ child }: WorkerProcess): Promise<number> {
  if (child.signalCode === null && child.exitCode === null) await once(child, "exit");
  return Date.now();
}

export async function openRig(options: Parameters<typeof startHost>[1] = {}): Promise<Rig> {
  const folder = await testFolder();
  const redis = await startRedis(join(folder.path, "redis"));
  const host = await startHost(folder.path, { maxConcurrentCalls: 4, ...options });
  const scenes: Scene[] = [];
  return {
    redis,
    host,
    async scene(name, other = redis) {
      const scene = await Scene.open(name, folder.path, { redis: other, host });
      scenes.push(scene);
      return scene;
    },
    async expectNothingLeft(orphans) {
      const before = await host.stats();
      expect(before.calls.running).toBe(0);
      if (orphans !== undefined) expect(before.volumes.live).toBe(orphans);
      if (before.volumes.live === 0) return;
      await host.kill();
      await host.start({ volumeTtlMs: 1000 });
      await expect
        .poll(async () => (await host.stats()).volumes, { timeout: 20_000, interval: 100 })
        .toMatchObject({ live: 0, deleted: before.volumes.deleted });
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(scenes.map(async (scene) => await scene[Symbol.asyncDispose]()));
      await redis[Symbol.asyncDispose]();
      await host[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
