import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { AppState } from "./enums.ts";
import type { Services } from "./services.ts";

const HOUR_MS = 60 * 60 * 1000;
/** Modal keeps results for about as long. */
const KEPT_MS = 7 * 24 * HOUR_MS;

type Kept = Pick<Services, "state" | "apps" | "volumes" | "calls" | "logs" | "log" | "now">;

/** Ends apps and volumes without heartbeats, often, and removes old records and files, every hour. */
export function startHousekeeping(services: Kept, sweepEveryMs: number): { stop: () => void } {
  const sweep = setInterval(() => {
    services.volumes.sweep();
    services.apps.sweep();
  }, sweepEveryMs);
  const clean = () => {
    cleanUp(services).catch((error: unknown) => services.log.warn({ error }, "clean-up failed"));
  };
  clean();
  const cleaning = setInterval(clean, HOUR_MS);
  return {
    stop: () => {
      clearInterval(sweep);
      clearInterval(cleaning);
    },
  };
}

async function cleanUp({ state, volumes, calls, logs, now }: Kept): Promise<void> {
  const isOld = (endedAt: number | undefined) => endedAt !== undefined && now() - endedAt > KEPT_MS;
  for (const { id, createdAt } of state.calls.all()) {
    if (isOld(createdAt) && calls.inputsOf(id).every(({ endedAt }) => isOld(endedAt))) calls.forget(id);
  }
  for (const { id, endedAt } of state.volumes.all()) if (isOld(endedAt)) state.volumes.remove(id);
  for (const app of state.apps.all()) {
    if (app.state !== AppState.STOPPED || !isOld(app.stoppedAt)) continue;
    for (const { id, appId } of state.functions.all()) if (appId === app.id) state.functions.remove(id);
    for (const { id, appId } of state.mounts.all()) if (appId === app.id) state.mounts.remove(id);
    logs.forget(app.id);
    state.apps.remove(app.id);
  }
  volumes.removeOrphans();
  const definitions = new Set([...state.functions.all()].map(({ definition }) => definition?.id));
  await removeFiles(state.paths.functions, (name) => !definitions.has(name), HOUR_MS, now);
  await removeFiles(state.paths.contents, () => true, HOUR_MS, now);
  await removeFiles(state.paths.blobs, () => true, KEPT_MS, now);
}

/** Removes files that were not touched for a while; the wait spares those that are being made. */
async function removeFiles(
  directory: string,
  isUnwanted: (name: string) => boolean,
  olderThanMs: number,
  now: () => number,
): Promise<void> {
  for (const name of (await readdir(directory)).filter(isUnwanted)) {
    const status = await stat(join(directory, name)).catch(() => undefined);
    if (status === undefined || now() - status.mtimeMs <= olderThanMs) continue;
    await rm(join(directory, name), { recursive: true, force: true });
  }
}
