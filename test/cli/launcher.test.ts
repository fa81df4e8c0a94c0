import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { cleanEnvironment } from "../../support/dev.ts";
import { LAUNCHER } from "../../support/programs.ts";

test("the command becomes Node with a small young generation, and a signal reaches it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "mirumoji-launcher-"));
  const child = spawn(LAUNCHER, ["gpu-host", "--json"], {
    env: cleanEnvironment({ MIRUMOJI_GPU_HOST_DATA: folder, MIRUMOJI_LOGGING_LEVEL: "silent" }),
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const exited = once(child, "exit");
    await once(createInterface({ input: child.stdout }), "line");
    const words = (await readFile(`/proc/${child.pid}/cmdline`, "utf8")).split("\0");
    expect(words.slice(0, 4)).toEqual([
      expect.stringMatching(/\bnode$/u),
      "--max-semi-space-size=4",
      LAUNCHER,
      "gpu-host",
    ]);
    child.kill("SIGTERM");
    expect(await exited).toEqual([0, null]);
  } finally {
    child.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  }
});
