import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import type { GpuHost } from "../../src/gpu-host/host.ts";
import { cleanEnvironment, runCommand } from "../../support/dev.ts";
import { LAUNCHER } from "../../support/programs.ts";
import { testFolder } from "../../support/folder.ts";
import { call, connect, getFile, newVolume, putFile, register, value } from "../helpers/gpu-host/host.ts";

/*
 * Commands with no option and no setting, in an empty folder that is not the repository's. `dev`, with its default data
 * and media folders, is what every test of `support/dev.ts` runs.
 */

const HANDLER = `
import modal, os

def size_of(path, volume_id):
    return os.getcwd(), len(b"".join(modal.Volume.from_id(volume_id).read_file(path)))
`;

test("gpu-host runs functions and keeps files with its default data folder", async () => {
  await using folder = await testFolder();
  const child = spawn(process.execPath, [LAUNCHER, "gpu-host", "--json"], {
    cwd: folder.path,
    env: cleanEnvironment(),
    stdio: ["ignore", "pipe", "ignore"],
  });
  try {
    const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
    const cp = connect(JSON.parse(line) as GpuHost);
    const { functions } = await register(cp, HANDLER, ["size_of"]);
    const volumeId = await newVolume(cp);
    await putFile(cp, volumeId, "in/file", Buffer.from("content"));

    const answer = await value(cp, await call(cp, functions["size_of"] ?? "", ["in/file", volumeId]));

    const [directory, bytes] = answer as [string, number];
    expect(bytes).toBe(7);
    expect(directory).toContain(join(".mirumoji", "gpu-host", "scratch"));
    expect((await getFile(cp, volumeId, "in/file")).toString()).toBe("content");
    expect(existsSync(join(folder.path, ".mirumoji", "gpu-host", "state"))).toBe(true);
  } finally {
    child.kill("SIGTERM");
    if (child.exitCode === null) await once(child, "exit");
  }
});

test("what needs a token says so in one line, and leaves nothing behind", async () => {
  await using folder = await testFolder();
  const cwd = join(folder.path, "empty");
  await mkdir(cwd);
  const commands = [
    ["modal", "check"],
    ["volume", "ls", "models"],
  ];

  const results = await Promise.all(commands.map((args) => runCommand(args, { cwd })));

  for (const [index, { code, stdout, stderr }] of results.entries()) {
    const told = `${commands[index]?.join(" ")}: ${stdout}${stderr}`;
    expect(code, told).not.toBe(0);
    expect(stderr, told).toContain("MODAL_TOKEN_ID and MODAL_TOKEN_SECRET are not set");
    expect(stderr, told).not.toMatch(/^\s+at /mu);
  }
  expect(await readdir(cwd)).toEqual([]);
});
