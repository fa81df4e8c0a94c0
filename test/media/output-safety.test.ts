import { spawnSync } from "node:child_process";
import type * as FilesModule from "node:fs/promises";
import {
  link,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { toMirumojiError } from "../../src/job/errors.ts";
import { createMediaFiles } from "../../src/media/media-files.ts";
import { openMediaRoot } from "../../src/media/media-root.ts";
import { testFolder } from "../../support/folder.ts";

const { failing } = vi.hoisted(() => ({ failing: new Map<string, string>() }));

/** Real files, except where a test makes one operation fail the way a file system would. */
vi.mock("node:fs/promises", async (importOriginal) => {
  const real = await importOriginal<typeof FilesModule>();
  const fallible = <F extends (...args: never[]) => unknown>(name: string, work: F) =>
    ((...args: never[]) => {
      const code = failing.get(name);
      if (code !== undefined) throw Object.assign(new Error(`${code}: as the test wants`), { code });
      return work(...args);
    }) as unknown as F;
  return { ...real, link: fallible("link", real.link), realpath: fallible("realpath", real.realpath) };
});

const signal = new AbortController().signal;
const RULES = { jobId: "job-1", input: "film.mkv", overwrite: false, signal };
const srt = (path: string) => ({ path, format: "srt" as const });

async function setup() {
  const folder = await testFolder();
  const root = join(folder.path, "media");
  const outside = join(folder.path, "outside");
  await mkdir(root);
  await mkdir(outside);
  const media = createMediaFiles(await openMediaRoot(root));
  const write = async (path: string, text: string, changes: { overwrite?: boolean; jobId?: string } = {}) =>
    await media.writeOutputs({
      ...RULES,
      ...changes,
      outputs: [{ output: srt(path), fill: async (handle) => await handle.writeFile(text) }],
    });
  const check = async (path: string, changes: { overwrite?: boolean; input?: string } = {}) =>
    await codeOf(
      media.checkOutputs({
        ...RULES,
        ...changes,
        outputs: [srt(path)],
      }),
    );
  const clean = async (path: string) =>
    await media.removePartialOutputs({ jobId: "job-1", outputs: [srt(path)], signal });
  return { ...folder, root, outside, media, write, check, clean, at: (path: string) => join(root, path) };
}

async function codeOf(action: Promise<unknown>): Promise<string> {
  return await action.then(
    () => "accepted",
    (error: unknown) => toMirumojiError(error).code,
  );
}

/** Name of the temporary file, as the job gives it. */
async function partialName(test: Awaited<ReturnType<typeof setup>>): Promise<string> {
  await test.write("out.srt", "first");
  const partial = (await readdir(test.root)).find((name) => name.endsWith(".part")) ?? "";
  await rm(test.at(partial));
  await rm(test.at("out.srt"));
  return partial;
}

describe("a file that is there", () => {
  it("is refused before anything is paid, unless it is to be overwritten", async () => {
    await using test = await setup();
    await writeFile(test.at("show.srt"), "made by hand");
    await symlink("nowhere", test.at("dangling.srt"));
    expect(await test.check("show.srt")).toBe("OUTPUT_EXISTS");
    expect(await test.check("dangling.srt")).toBe("OUTPUT_EXISTS");
    expect(await test.check("show.srt", { overwrite: true })).toBe("accepted");
    expect(await test.check("other.srt")).toBe("accepted");
    await test.write("show.srt", "new", { overwrite: true });
    expect(await readFile(test.at("show.srt"), "utf8")).toBe("new");
  });

  it.each([
    ["where files can have two names", undefined],
    ["where they cannot (exFAT, SMB)", "EPERM"],
    ["where the call is unknown", "ENOSYS"],
  ])("is not replaced when it appeared while the job ran, %s", async (_where, code) => {
    await using test = await setup();
    if (code !== undefined) failing.set("link", code);
    try {
      await writeFile(test.at("show.srt"), "appeared");
      expect(await codeOf(test.write("show.srt", "paid for"))).toBe("OUTPUT_WRITE_FAILED");
      expect(await readFile(test.at("show.srt"), "utf8")).toBe("appeared");
      await rm(test.at("show.srt"));
      await test.write("show.srt", "paid for");
      expect(await readFile(test.at("show.srt"), "utf8")).toBe("paid for");
      await test.clean("show.srt");
      expect(await readdir(test.root)).toEqual(["show.srt"]);
    } finally {
      failing.clear();
    }
  });

  it("is the job's own when a crash came between publishing and writing it down", async () => {
    await using test = await setup();
    await test.write("show.srt", "by an older version");
    expect(await test.check("show.srt")).toBe("accepted");
    const [again] = await test.write("show.srt", "by a newer version");
    expect(again?.bytes).toBe("by an older version".length);
    await test.clean("show.srt");
    // The same content again is no harm, whoever wrote it.
    await test.write("show.srt", "by an older version");
    await test.clean("show.srt");
    expect(await test.check("show.srt")).toBe("OUTPUT_EXISTS");
    expect(await readdir(test.root)).toEqual(["show.srt"]);
  });

  it("is none of several outputs that are published when one of them is taken", async () => {
    await using test = await setup();
    await writeFile(test.at("b.srt"), "appeared");
    const writing = test.media.writeOutputs({
      ...RULES,
      outputs: ["a.srt", "b.srt"].map((path) => ({
        output: srt(path),
        fill: async (handle) => await handle.writeFile(path),
      })),
    });
    expect(await codeOf(writing)).toBe("OUTPUT_WRITE_FAILED");
    expect((await readdir(test.root)).filter((name) => !name.startsWith("."))).toEqual(["b.srt"]);
  });
});

describe("the input", () => {
  it("is never an output, by whatever name", async () => {
    await using test = await setup();
    await mkdir(test.at("real"));
    await writeFile(test.at("real/film.srt"), "the input");
    await symlink("real", test.at("linked"));
    await symlink("real/film.srt", test.at("link.srt"));
    await link(test.at("real/film.srt"), test.at("second-name.srt"));
    for (const path of ["real/film.srt", "linked/film.srt", "link.srt", "second-name.srt"]) {
      for (const overwrite of [true, false]) {
        expect(await test.check(path, { overwrite, input: "real/film.srt" }), path).toBe("REQUEST_INVALID");
      }
    }
    const writing = test.media.writeOutputs({
      ...RULES,
      input: "real/film.srt",
      overwrite: true,
      outputs: [{ output: srt("linked/film.srt"), fill: async (handle) => await handle.writeFile("x") }],
    });
    expect(await codeOf(writing)).toBe("REQUEST_INVALID");
    expect(await readFile(test.at("real/film.srt"), "utf8")).toBe("the input");
  });

  it("stays the file that was checked, whatever its path leads to later", async () => {
    await using test = await setup();
    const made = spawnSync("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", "sine=d=0.2", test.at("tone.wav")]);
    expect(made.status).toBe(0);
    await writeFile(join(test.outside, "secret.wav"), "secret");
    const checked = await readFile(test.at("tone.wav"));
    await using input = await test.media.openInput({ path: "tone.wav", needs: "audio", signal });
    await rm(test.at("tone.wav"));
    await symlink(join(test.outside, "secret.wav"), test.at("tone.wav"));
    expect(await readFile(input.localPath ?? "")).toEqual(checked);
    // Programs that are started here can read it too.
    expect(spawnSync("cat", [input.localPath ?? ""]).stdout).toEqual(checked);
    await input[Symbol.asyncDispose]();
    expect(await codeOf(stat(input.localPath ?? ""))).toBe("UNEXPECTED");
  });

  it("may be a pipe only to be refused at once", async () => {
    await using test = await setup();
    spawnSync("mkfifo", [test.at("pipe.wav")]);
    const opening = test.media.openInput({ path: "pipe.wav", needs: "audio", signal });
    expect(await codeOf(opening)).toBe("INPUT_NOT_A_FILE");
  });
});

describe("what was planted under the temporary name", () => {
  it.each([
    ["a link out of the media root", async (victim: string, name: string) => await symlink(victim, name)],
    ["a second name of a file outside", async (victim: string, name: string) => await link(victim, name)],
    ["a pipe", async (_victim: string, name: string) => void spawnSync("mkfifo", [name])],
  ])("leads nowhere: %s", async (_what, plant) => {
    await using test = await setup();
    const victim = join(test.outside, "victim");
    await writeFile(victim, "untouched");
    const partial = test.at(await partialName(test));
    for (const sha256 of [undefined, "0".repeat(64)]) {
      await plant(victim, partial);
      const writing = test.media.writeOutputs({
        ...RULES,
        outputs: [
          { output: srt("out.srt"), fill: async (handle) => await handle.writeFile("output"), sha256 },
        ],
      });
      expect(await codeOf(writing)).toBe(sha256 === undefined ? "accepted" : "TRANSFER_CORRUPT");
      await test.clean("out.srt");
      await rm(test.at("out.srt"), { force: true });
    }
    expect(await readFile(victim, "utf8")).toBe("untouched");
  });

  it("is not reached through a folder that is swapped while the output is written", async () => {
    await using test = await setup();
    await mkdir(test.at("show"));
    const writing = test.media.writeOutputs({
      ...RULES,
      outputs: [
        {
          output: srt("show/out.srt"),
          fill: async (handle) => {
            await rename(test.at("show"), test.at("moved"));
            await symlink(test.outside, test.at("show"));
            await handle.writeFile("output");
          },
        },
      ],
    });
    await writing;
    expect(await readdir(test.outside)).toEqual([]);
    expect(await readFile(test.at("moved/out.srt"), "utf8")).toBe("output");
    expect(await readlink(test.at("show"))).toBe(test.outside);
    expect(await test.check("show/other.srt")).toBe("PATH_OUTSIDE_MEDIA_ROOT");
    expect(await test.check(".")).toBe("PATH_OUTSIDE_MEDIA_ROOT");
  });
});

describe("a file system that is unwell", () => {
  it.each(["EIO", "ESTALE", "EMFILE", "ETIMEDOUT", "EHOSTDOWN"])(
    "says %s, and the job waits",
    async (code) => {
      await using test = await setup();
      await writeFile(test.at("film.mkv"), "x");
      failing.set("realpath", code);
      try {
        const opening = test.media.openInput({ path: "film.mkv", needs: "audio", signal });
        const error = await opening.catch(toMirumojiError);
        expect(error).toMatchObject({ code: "STORAGE_UNAVAILABLE", kind: "storage" });
        expect(await test.check("out.srt")).toBe("STORAGE_UNAVAILABLE");
        expect(await codeOf(test.write("out.srt", "x"))).toBe("STORAGE_UNAVAILABLE");
      } finally {
        failing.clear();
      }
    },
  );

  it("that is full is said to be, and the output is written when there is space", async ({ skip }) => {
    await using test = await setup();
    await mkdir(test.at("small"));
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "none", test.at("small")]);
    if (mounted.status !== 0) {
      console.warn("skipped: a full disk (needs the right to mount)");
      skip();
    }
    try {
      await writeFile(test.at("small/ballast"), Buffer.alloc(900_000));
      const text = "x".repeat(500_000);
      expect(await codeOf(test.write("small/out.srt", text))).toBe("DISK_FULL");
      expect(await readdir(test.at("small"))).toEqual(["ballast"]);
      await rm(test.at("small/ballast"));
      await test.write("small/out.srt", text);
      expect((await lstat(test.at("small/out.srt"))).size).toBe(500_000);
    } finally {
      spawnSync("umount", [test.at("small")]);
    }
  });
});
