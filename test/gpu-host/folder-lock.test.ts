import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterEach, expect, test } from "vitest";
import { startGpuHost } from "../../src/gpu-host/host.ts";
import { MirumojiError } from "../../src/job/errors.ts";
import { programFile } from "../../support/programs.ts";
import { startHost, temporaryDirectory, undoAll } from "../helpers/gpu-host/host.ts";

const children: ChildProcess[] = [];

afterEach(async () => {
  for (const child of children.splice(0)) await kill(child);
  await undoAll();
});

/** A host in a process of its own; gives the first line that it prints, or null where it ends without one. */
async function serve(dataDir: string) {
  const child = spawn(process.execPath, [programFile("gpu-host"), JSON.stringify({ dataDir })], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  let problem = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    problem += text;
  });
  const lines = createInterface({ input: child.stdout });
  const first = await Promise.race([
    once(lines, "line").then(([line]) => String(line)),
    once(child, "close").then(() => null),
  ]);
  return { child, first, problem: () => problem };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

test("two processes do not share a data folder; what a killed one held is free at once", async () => {
  const dataDir = await temporaryDirectory();
  const first = await serve(dataDir);
  expect(first.first).toContain("serverUrl");

  const second = await serve(dataDir);
  const third = startGpuHost({ dataDir });

  expect(second.first).toBeNull();
  expect(second.child.exitCode).not.toBe(0);
  expect(second.problem()).toContain("GPU_HOST_FOLDER_IN_USE");
  await expect(third).rejects.toBeInstanceOf(MirumojiError);
  await expect(third).rejects.toMatchObject({
    code: "GPU_HOST_FOLDER_IN_USE",
    message: expect.stringMatching(
      new RegExp(`^${dataDir} .* process ${first.child.pid} on .*MIRUMOJI_GPU_HOST_DATA`),
    ) as string,
  });

  await kill(first.child);

  expect((await serve(dataDir)).first).toContain("serverUrl");
});

test("a folder is free again after its host was closed, and after one that could not start", async () => {
  const dataDir = await temporaryDirectory();
  const first = await startHost({ dataDir });
  await expect(startGpuHost({ dataDir })).rejects.toMatchObject({ code: "GPU_HOST_FOLDER_IN_USE" });
  await first.close();
  const other = await startHost();
  const taken = Number(new URL(other.serverUrl).port);
  await expect(startGpuHost({ dataDir, grpcPort: taken })).rejects.toThrow("address already in use");

  expect((await startHost({ dataDir })).serverUrl).toContain("127.0.0.1");
});
