import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { gpuHostEnvironment } from "../config/child-environment.ts";
import { MirumojiError } from "../job/errors.ts";

const LAUNCHER = fileURLToPath(new URL("../../bin/mirumoji-worker.js", import.meta.url));
const STOP_TIMEOUT_MS = 12_000;

const readySchema = z.object({
  serverUrl: z.string(),
  tokenId: z.string(),
  tokenSecret: z.string(),
  statsUrl: z.string(),
});

export type GpuHostChild = z.output<typeof readySchema> & { readonly pid: number; stop(): Promise<void> };

/**
 * Runs `gpu-host` as a child process, so that its work never delays the worker's heartbeats. It ends when the
 * channel closes or this process dies.
 */
export async function startGpuHostChild(options: {
  dataFolder: string;
  /** File of the command line; the one that is shipped by default. */
  program?: string | undefined;
}): Promise<GpuHostChild> {
  const child = spawn(process.execPath, [options.program ?? LAUNCHER, "gpu-host", "--json"], {
    env: gpuHostEnvironment({ MIRUMOJI_GPU_HOST_DATA: resolve(options.dataFolder) }),
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  const exited = once(child, "exit");
  if (child.stdout === null) throw new MirumojiError("UNEXPECTED", "the GPU host has no output");
  const lines = createInterface({ input: child.stdout });
  const first = await Promise.race([
    once(lines, "line").then(([line]) => String(line)),
    exited.then(() => null),
  ]);
  const ready = readySchema.safeParse(first === null ? null : JSON.parse(first));
  if (!ready.success) {
    child.kill("SIGKILL");
    throw new MirumojiError("UNEXPECTED", "the GPU host did not start; its message is above");
  }
  return {
    ...ready.data,
    pid: child.pid ?? 0,
    async stop() {
      if (child.connected) child.disconnect();
      const ended = await Promise.race([
        exited.then(() => true),
        sleep(STOP_TIMEOUT_MS, false, { ref: false }),
      ]);
      if (!ended) child.kill("SIGKILL");
      await exited;
    },
  };
}
