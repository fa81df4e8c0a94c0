import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { cleanEnvironment, type DevServices, startDev } from "../../support/dev.ts";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The processes that `dev` started, found by their folder. */
async function childrenOf(dev: DevServices): Promise<number[]> {
  const { stdout } = await run("ps", ["-eo", "pid=,ppid="]);
  const parents = new Map(
    stdout
      .trim()
      .split("\n")
      .map((line) => line.trim().split(/\s+/u).map(Number) as [number, number]),
  );
  const isBelow = (pid: number): boolean => {
    const parent = parents.get(pid);
    return parent !== undefined && (parent === dev.child.pid || isBelow(parent));
  };
  return [...parents.keys()].filter(isBelow);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe("dev", () => {
  it("stops everything on Ctrl-C, also in the middle of a job, and leaves no process", async () => {
    await using dev = await startDev();
    await dev.put("film.mp4");
    await dev.client.submit("transcribe", { input: "film.mp4", language: "en" });
    await expect
      .poll(async () => (await dev.stats()).calls.running, { timeout: 30_000, interval: 50 })
      .toBe(1);
    // Redis, the GPU host and the function's Python, which starts after its call counts as running.
    await expect
      .poll(async () => (await childrenOf(dev)).length, { timeout: 10_000 })
      .toBeGreaterThanOrEqual(3);
    const children = await childrenOf(dev);
    expect(await dev.stop("SIGINT")).toBe(0);
    await expect.poll(() => children.filter(isAlive), { timeout: 5000 }).toEqual([]);
  });

  it("takes its children along when it is killed", async () => {
    await using dev = await startDev();
    const children = await childrenOf(dev);
    expect(children.length).toBeGreaterThanOrEqual(2);
    dev.child.kill("SIGKILL");
    await expect.poll(() => children.filter(isAlive), { timeout: 15_000 }).toEqual([]);
  });

  it("goes on with its jobs after a restart in the same folder", async () => {
    await using dev = await startDev();
    await dev.put("film.mp4");
    const { id } = await dev.client.submit("convert", { input: "film.mp4", resolution: "320x180" });
    await expect
      .poll(async () => (await dev.client.get(id)).state, { timeout: 30_000, interval: 20 })
      .toBe("call");
    expect(await dev.stop()).toBe(0);
    await using again = await startDev({}, { home: dev.folder });
    expect(await again.client.wait(id)).toMatchObject({ status: "completed", error: null });
  });
});

describe("examples", () => {
  it("transcribe.ts does what it says", async () => {
    await using dev = await startDev();
    await dev.put("film.mp4");
    const { stdout } = await run(
      process.execPath,
      ["--import", "tsx", "examples/transcribe.ts", "film.mp4", "en"],
      { cwd: ROOT, env: cleanEnvironment({ REDIS_URL: dev.ready.redisUrl }) },
    );
    expect(stdout).toMatch(/^film\.srt \d+\nfilm\.vtt \d+\n$/u);
  });
});
