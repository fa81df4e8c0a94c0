import { once } from "node:events";
import { join } from "node:path";
import { expect } from "vitest";
import { testFolder } from "../helpers/folder.ts";
import type { WorkerProcess } from "../helpers/stack.ts";
import { Scene } from "./scene.ts";
import { type GpuHostService, type RedisService, startHost, startRedis } from "./services.ts";

/** Whether all cases are asked for; `npm test` runs a short form. */
export const IS_LONG = process.env["CRASH_LONG"] === "1";

/** The services that no worker's death should hurt. */
export interface Rig extends AsyncDisposable {
  readonly redis: RedisService;
  readonly host: GpuHostService;
  scene(name: string): Promise<Scene>;
  /**
   * Holds the server to what must be true when every scene is over. `orphans`: volumes whose workers died before
   * they wrote them down, null where that cannot be known; nobody keeps those alive, so they are gone after a while.
   */
  expectNothingLeft(orphans?: number | null): Promise<void>;
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
    async scene(name) {
      const scene = await Scene.open(name, folder.path, { redis, host });
      scenes.push(scene);
      return scene;
    },
    async expectNothingLeft(orphans: number | null = 0) {
      const left = async () => {
        const { volumes, calls } = await host.stats();
        return { volumes: volumes.live, calls: calls.running };
      };
      if (orphans !== null) expect(await left()).toEqual({ volumes: orphans, calls: 0 });
      if (orphans === 0) return;
      await host.kill();
      await host.start({ volumeTtlMs: 1000 });
      await expect.poll(left, { timeout: 20_000, interval: 100 }).toEqual({ volumes: 0, calls: 0 });
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(scenes.map(async (scene) => await scene[Symbol.asyncDispose]()));
      await redis[Symbol.asyncDispose]();
      await host[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
