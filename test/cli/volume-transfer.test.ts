import { mkdir, readdir, readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createTransferView, slidingRate } from "../../src/cli/transfer-view.ts";
import { putTarget } from "../../src/cli/volume-paths.ts";
import { getTree } from "../../src/cli/volume-transfer.ts";
import type { VolumeStore } from "../../src/modal/volumes/volume-store.ts";
import { testFolder } from "../../support/folder.ts";

const { signal } = new AbortController();

/** A server that lists whatever paths it likes. */
function listing(...paths: string[]): VolumeStore {
  return {
    volumeId: "vo-1",
    version: 2,
    list: async () =>
      paths.map((path) => ({ path, kind: "file" as const, sizeBytes: 4, modifiedAt: new Date(0) })),
    get: async ({ into }) => {
      await into.writeFile("evil");
      return { sizeBytes: 4 };
    },
    put: async () => ({ sizeBytes: 0 }),
    remove: async () => undefined,
  };
}

describe("getTree", () => {
  let folder: AsyncDisposable & { path: string };
  beforeEach(async () => {
    folder = await testFolder();
    await mkdir(join(folder.path, "inside"));
  });
  afterEach(async () => await folder[Symbol.asyncDispose]());
  const get = async (store: VolumeStore, remote: string, overwrite = true) =>
    await getTree(store, remote, join(folder.path, "inside"), { overwrite, signal });

  it.each([
    ["dir", "../evil"],
    ["dir", "dir/../evil"],
    ["dir", "dir/../../evil"],
    ["dir", "/etc/evil"],
    ["dir", "dir//etc/evil"],
    ["dir", "directory/evil"],
    ["dir", "dir/a\0b"],
    ["dir", "dir/"],
    ["/", "../evil"],
    ["/", "/evil"],
    ["/", "."],
  ])("asked for %s, refuses a listed %j", async (remote, path) => {
    await expect(get(listing(path), remote)).rejects.toMatchObject({ code: "VOLUME_PATH_INVALID" });
    expect(await readdir(folder.path, { recursive: true })).toEqual(["inside"]);
  });

  it("does not follow a symlink out of the target folder", async () => {
    await symlink(folder.path, join(folder.path, "inside", "out"));
    await expect(get(listing("out/evil"), "/")).rejects.toMatchObject({ code: "VOLUME_PATH_INVALID" });
    expect((await readdir(folder.path)).toSorted()).toEqual(["inside"]);
  });

  it("replaces a symlink, and not what it points at", async () => {
    await symlink("/dev/null", join(folder.path, "inside", "file"));
    await expect(get(listing("file"), "/", false)).rejects.toMatchObject({ code: "FILE_EXISTS" });
    await get(listing("file"), "/");
    expect(await readFile(join(folder.path, "inside", "file"), "utf8")).toBe("evil");
  });
});

describe("putTarget", () => {
  it.each([
    ["/", "film"],
    ["", "film"],
    ["new", "new"],
    ["new/", "new/film"],
    ["/a//b/./", "a/b/film"],
  ])("into %j is %s", (target, path) => expect(putTarget("film", target)).toBe(path));
});

describe("the transfer view", () => {
  it("measures the last seconds, not the whole time", () => {
    let now = 0;
    const rate = slidingRate(() => now);
    now = 1_000;
    expect(rate(1_000)).toBe(1_000);
    for (now = 2_000; now <= 20_000; now += 1_000) rate(1_000);
    now = 21_000;
    expect(rate(1_000)).toBe(0);
    now = 22_000;
    expect(rate(60_000)).toBeGreaterThan(9_000);
  });

  it("draws a bar with bytes, rate and time left on a terminal", () => {
    let now = 0;
    const stream = Object.assign(new PassThrough(), { isTTY: true, columns: 200 });
    let drawn = "";
    vi.spyOn(stream, "write").mockImplementation((chunk: unknown) => {
      drawn += String(chunk);
      return true;
    });
    const view = createTransferView(10_000_000, {
      stream: stream as unknown as NodeJS.WriteStream,
      now: () => now,
    });
    now = 1_000;
    view.update("film.mkv", 2_500_000);
    view.stop();
    expect(drawn).toContain("film.mkv");
    expect(drawn).toMatch(/█+░+.* 25% {2}2\.5 MB of 10 MB, 2\.5 MB\/s, 3 s left/);
  });
});
