import { chmodSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { sandbox, type Sandbox } from "../helpers/repo/sandbox.ts";

const COPIED = ["scripts/setup.js", "scripts/build.js", "package.json", "package-lock.json"];

/** A machine whose only programs are the given shell scripts. */
function machine(programs: Record<string, string>): Sandbox {
  const box = sandbox(COPIED, { "bin/.keep": "" });
  for (const [name, body] of Object.entries(programs)) {
    const path = join(box.folder, "bin", name);
    writeFileSync(path, `#!/bin/sh\n${body}\n`);
    chmodSync(path, 0o755);
  }
  return box;
}

function setup(box: Sandbox) {
  const env = {
    PATH: join(box.folder, "bin"),
    CALLS: join(box.folder, "calls"),
    MIRUMOJI_POCKETSPHINX_MODEL: join(box.folder, "model"),
    npm_execpath: "",
  };
  return box.run(process.execPath, ["scripts/setup.js"], env);
}

const THERE = { "redis-server": "", ffmpeg: "", ffprobe: "", python3: "", pocketsphinx: "" };
const BECOME_ROOT = { sudo: 'shift; "$@"', env: 'exec /usr/bin/env "$@"' };
const NOTE = 'echo "$DEBIAN_FRONTEND $*" >>"$CALLS"';
const MODEL = { "model/en-us.lm.bin": "" };

describe("setup", () => {
  it("is silent when nothing is missing", () => {
    const box = machine(THERE);
    box.write(MODEL);
    expect(setup(box)).toEqual({ status: 0, stdout: "", stderr: "" });
  });

  it("says in one line what is missing where it cannot install it, on standard error", () => {
    const box = machine(THERE);
    box.write(MODEL);
    for (const name of ["ffmpeg", "ffprobe"]) rmSync(join(box.folder, "bin", name));
    const { status, stdout, stderr } = setup(box);
    expect(status).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/^setup: missing: ffmpeg, ffprobe\. .*install ffmpeg.*\n$/);
  });

  it.each([
    ["installs what is missing with apt-get", 'cp "$0" "${0%/*}/redis-server"', 0, ""],
    ["looks whether apt-get helped", ":", 1, "still missing after apt-get: redis-server"],
  ])("%s", (_, effect, expected, message) => {
    const cp = 'exec /bin/cp "$@"';
    const box = machine({ ...THERE, ...BECOME_ROOT, cp, "apt-get": `${NOTE}; ${effect}` });
    box.write(MODEL);
    rmSync(join(box.folder, "bin/redis-server"));
    const { status, stdout, stderr } = setup(box);
    expect(stderr).toContain(message);
    expect(status).toBe(expected);
    expect(stdout).toBe("");
    const calls = readFileSync(join(box.folder, "calls"), "utf8");
    expect(calls).toContain("noninteractive -q -y install --no-install-recommends redis-server\n");
  });

  it("runs npm ci when what is installed is not what the lock file wants", () => {
    const box = machine({ ...THERE, npm: 'echo "npm $*"; echo "and why it failed" >&2; exit 1' });
    box.write({
      ...MODEL,
      "package-lock.json": JSON.stringify({ packages: { "node_modules/zod": { version: "0.0.1" } } }),
    });
    const { status, stdout, stderr } = setup(box);
    expect(status).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toContain("npm ci --no-audit --no-fund\nand why it failed\nsetup: npm ci failed");
  });
});
