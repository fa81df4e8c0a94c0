import { Command } from "commander";
import { createHash, randomBytes } from "node:crypto";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { addVolume } from "../../src/cli/volume.ts";
import { cleanEnvironment, type CommandResult, runCommand } from "../../support/dev.ts";
import { programFile } from "../../support/programs.ts";
import { testFolder } from "../../support/folder.ts";
import { type HostForTests, startHostForTests } from "../helpers/modal/gpu-host.ts";

const MIB = 1024 * 1024;

let host: HostForTests;
let folder: AsyncDisposable & { path: string };
let volumeId: string;

beforeAll(async () => {
  host = await startHostForTests();
});
afterAll(async () => await host[Symbol.asyncDispose]());
beforeEach(async () => {
  folder = await testFolder();
  volumeId = await named("films", 2);
});
afterEach(async () => {
  await host.clearFaults();
  await host.session.cpClient.volumeDelete({ volumeId });
  await folder[Symbol.asyncDispose]();
});

async function named(deploymentName: string, version: number): Promise<string> {
  const made = await host.session.cpClient.volumeGetOrCreate({
    deploymentName,
    objectCreationType: 1,
    version,
  });
  return made.volumeId;
}

const environment = () => ({
  MODAL_SERVER_URL: host.host.serverUrl,
  MODAL_TOKEN_ID: host.host.tokenId,
  MODAL_TOKEN_SECRET: host.host.tokenSecret,
});

/** Runs a command here and not in a process of its own, which would take a second each. */
async function volume(...args: string[]): Promise<CommandResult> {
  const out = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((name) =>
    vi.spyOn(process[name], "write").mockImplementation((chunk: unknown) => {
      out[name] += String(chunk);
      return true;
    }),
  );
  for (const [name, value] of Object.entries(environment())) vi.stubEnv(name, value);
  try {
    const program = new Command().exitOverride();
    addVolume(program);
    await program.parseAsync(["node", "mirumoji-worker", "volume", ...args]);
    return { code: process.exitCode === 1 ? 1 : 0, ...out };
  } finally {
    process.exitCode = undefined;
    vi.unstubAllEnvs();
    for (const spy of spies) spy.mockRestore();
  }
}

async function volumeOk(...args: string[]): Promise<CommandResult> {
  const result = await volume(...args);
  expect(result, result.stderr).toMatchObject({ code: 0 });
  return result;
}

/** The code that a failed command gives, in its JSON and in its first line. */
async function codeOf(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await volume(...args, "--json");
  expect(code).toBe(1);
  const { error } = z.object({ error: z.object({ code: z.string() }) }).parse(JSON.parse(stdout));
  expect(stderr.split("\n").some((line) => line.startsWith(`${error.code}: `))).toBe(true);
  return error.code;
}

const local = (path: string) => join(folder.path, path);
const listing = async (...args: string[]) =>
  z
    .object({ entries: z.array(z.object({ path: z.string(), kind: z.string(), sizeBytes: z.number() })) })
    .parse(JSON.parse((await volumeOk("ls", ...args, "--json")).stdout))
    .entries.map(({ path, kind, sizeBytes }) => (kind === "directory" ? `${path}/` : `${path} ${sizeBytes}`));

describe("volume put, ls, get and rm", { timeout: 120_000 }, () => {
  test("move a file by the volume's name and by its ID, and say what they did", async () => {
    const bytes = randomBytes(9 * MIB);
    await writeFile(local("film.mkv"), bytes);
    const { stdout, stderr } = await runCommand(["volume", "put", "films", "film.mkv", "new/", "--json"], {
      cwd: folder.path,
      env: environment(),
    });
    expect(JSON.parse(stdout)).toEqual({
      volumeId,
      bytes: bytes.length,
      files: [{ localPath: local("film.mkv"), remotePath: "new/film.mkv", sizeBytes: bytes.length }],
    });
    expect(stderr).toMatch(/new\/film\.mkv: 9\.44 MB of 9\.44 MB, \S+ [kM]?B\/s/);
    expect(await listing(volumeId, "-r")).toEqual(["new/", `new/film.mkv ${bytes.length}`]);
    expect((await volumeOk("ls", "films", "new")).stdout).toMatch(
      /^ {2}9\.44 MB {2}\d{4}-\d\d-\d\d \d\d:\d\d {2}new\/film\.mkv\n$/,
    );

    await volumeOk("get", volumeId, "/new/film.mkv", local("copy.mkv"));
    expect(Buffer.compare(await readFile(local("copy.mkv")), bytes)).toBe(0);
    await volumeOk("get", "films", "new/film.mkv", local("made/"));
    expect((await readFile(local("made/film.mkv"))).length).toBe(bytes.length);

    await volumeOk("rm", "films", "new/film.mkv");
    expect(await listing("films", "new")).toEqual([]);
  });

  test("move folders with everything in them", async () => {
    await mkdir(local("season/épisode 1"), { recursive: true });
    await writeFile(local("season/épisode 1/日本.srt"), "one");
    await writeFile(local("season/empty"), "");
    await writeFile(local("secret"), "not part of it");
    await symlink(local("secret"), local("season/link"));
    await volumeOk("put", "films", local("season"));
    expect(await listing("films", "--recursive")).toEqual([
      "season/",
      "season/empty 0",
      "season/épisode 1/",
      "season/épisode 1/日本.srt 3",
    ]);
    await volumeOk("get", "films", "season", local("back"));
    expect((await readdir(local("back"), { recursive: true })).toSorted()).toEqual([
      "empty",
      "épisode 1",
      "épisode 1/日本.srt",
    ]);
    await volumeOk("get", "films", "/", local("all"));
    expect(await readFile(local("all/season/épisode 1/日本.srt"), "utf8")).toBe("one");
    expect(await codeOf("rm", "films", "season")).toBe("VOLUME_PATH_INVALID");
    await volumeOk("rm", "films", "season", "-r");
    expect(await listing("films")).toEqual([]);
  });

  test("read and clear version 1 volumes, and send nothing into them", async () => {
    const old = await named("old", 1);
    const { cpClient } = host.session;
    const data = randomBytes(1000);
    const sha256Hex = createHash("sha256").update(data).digest("hex");
    await cpClient.mountPutFile({ sha256Hex, data });
    const files = ["both/one", "both/two"].map((filename) => ({ filename, sha256Hex, mode: 0o644 }));
    await cpClient.volumePutFiles({ volumeId: old, files });
    expect(await listing(old, "both")).toEqual(["both/one 1000", "both/two 1000"]);
    await volumeOk("get", "old", "both", local("back"));
    expect(Buffer.compare(await readFile(local("back/two")), data)).toBe(0);
    await volumeOk("rm", "old", "both/one");
    expect(await listing("old", "both")).toEqual(["both/two 1000"]);
    expect(await codeOf("put", "old", local("back"))).toBe("VOLUME_VERSION_UNSUPPORTED");
    await cpClient.volumeDelete({ volumeId: old });
  });

  test("overwrite nothing without --force, here and there", async () => {
    await writeFile(local("a"), "first");
    await volumeOk("put", "films", local("a"));
    await writeFile(local("a"), "second");
    expect(await codeOf("put", "films", local("a"))).toBe("FILE_EXISTS");
    expect(await codeOf("get", "films", "a", folder.path)).toBe("FILE_EXISTS");
    expect(await readFile(local("a"), "utf8")).toBe("second");
    await volumeOk("put", "films", local("a"), "/", "--force");
    await writeFile(local("a"), "third");
    await volumeOk("get", "films", "a", folder.path, "--force");
    expect(await readFile(local("a"), "utf8")).toBe("second");
  });

  test("name what is wrong with what they are given", async () => {
    await writeFile(local("file"), "x");
    await mkdir(local("nothing"));
    await mkdir(local("taken/file"), { recursive: true });
    await volumeOk("put", "films", local("file"), "folder/file");
    const cases: [string, string[]][] = [
      ["VOLUME_NOT_FOUND", ["ls", "no-such-volume"]],
      ["VOLUME_NOT_FOUND", ["ls", "vo-unknown"]],
      ["VOLUME_NOT_FOUND", ["put", "", local("file")]],
      ["VOLUME_PATH_NOT_FOUND", ["ls", "films", "missing"]],
      ["VOLUME_PATH_NOT_FOUND", ["get", "films", "missing"]],
      ["VOLUME_PATH_NOT_FOUND", ["rm", "films", "missing"]],
      ["VOLUME_PATH_INVALID", ["ls", "films", "../other"]],
      ["VOLUME_PATH_INVALID", ["put", "films", local("file"), "../other"]],
      ["VOLUME_PATH_INVALID", ["put", "films", local("file"), "folder"]],
      ["VOLUME_PATH_INVALID", ["rm", "films", "/", "-r"]],
      ["INPUT_NOT_FOUND", ["put", "films", local("missing")]],
      ["INPUT_EMPTY", ["put", "films", local("nothing")]],
      ["FILE_EXISTS", ["get", "films", "folder/file", local("taken"), "--force"]],
      ["OUTPUT_UNWRITABLE", ["get", "films", "folder/file", local("file/below")]],
    ];
    for (const [code, args] of cases) expect(await codeOf(...args), args.join(" ")).toBe(code);
    const noToken = await runCommand(["volume", "ls", "films"], { cwd: folder.path });
    expect(noToken).toMatchObject({ code: 1, stderr: expect.stringContaining("CONFIG_INVALID") });
    const wrongToken = await runCommand(["volume", "ls", "films"], {
      cwd: folder.path,
      env: { ...environment(), MODAL_TOKEN_SECRET: "as-wrong" },
    });
    expect(wrongToken).toMatchObject({ code: 1, stderr: expect.stringContaining("MODAL_UNAUTHENTICATED") });
  });

  test("leave no half file when a transfer fails or is interrupted", async () => {
    await writeFile(local("film"), randomBytes(3 * MIB));
    await volumeOk("put", "films", local("film"));
    await rm(local("film"));
    await host.fault({ block: "GET", behaviour: "wrong-bytes", times: 1 });
    await host.fault({ block: "GET", behaviour: "short", times: 1 });
    await volumeOk("get", "films", "film", folder.path);
    await rm(local("film"));
    await host.fault({ block: "GET", behaviour: "500", times: 50 });
    const child = spawn(
      process.execPath,
      [programFile("mirumoji-worker"), "volume", "get", "films", "film"],
      {
        cwd: folder.path,
        env: cleanEnvironment(environment()),
        stdio: ["ignore", "ignore", "pipe"],
      },
    );
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const exited = once(child, "exit");
    await expect.poll(async () => (await readdir(folder.path)).length, { timeout: 20_000 }).toBe(1);
    child.kill("SIGINT");
    expect(await exited).toEqual([1, null]);
    expect(stderr).toContain("INTERRUPTED: stopped by SIGINT");
    expect(await readdir(folder.path)).toEqual([]);
  });
});
