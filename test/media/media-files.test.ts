import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  type FileHandle,
  mkdir,
  open as openFile,
  readdir,
  readFile,
  symlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { MirumojiError, toMirumojiError } from "../../src/job/errors.ts";
import type { PlannedOutput } from "../../src/job/paths.ts";
import { createMediaFiles } from "../../src/media/media-files.ts";
import { openMediaRoot } from "../../src/media/media-root.ts";
import { quickLookForVideo } from "../../src/media/quick-look.ts";
import { testFolder } from "../../support/folder.ts";

const run = promisify(execFile);
const signal = new AbortController().signal;

async function setup() {
  const folder = await testFolder();
  const root = join(folder.path, "media");
  await mkdir(root);
  await mkdir(join(folder.path, "outside"));
  await writeFile(join(folder.path, "outside", "secret.wav"), "secret");
  const files = createMediaFiles(await openMediaRoot(root));
  const rules = { input: "film.mkv", overwrite: false, signal };
  type Write = Partial<Parameters<typeof files.writeOutputs>[0]>;
  const media = {
    openInput: async (options: Parameters<typeof files.openInput>[0]) => await files.openInput(options),
    checkOutputs: async (outputs: readonly PlannedOutput[], changes: Write = {}) =>
      await files.checkOutputs({ ...rules, jobId: "job-1", ...changes, outputs }),
    writeOutputs: async (options: Write) =>
      await files.writeOutputs({ ...rules, jobId: "job-1", outputs: [], ...options }),
    removePartialOutputs: async (outputs: readonly PlannedOutput[]) =>
      await files.removePartialOutputs({ jobId: "job-1", outputs, signal }),
  };
  const put = async (path: string, data: string) => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), data);
  };
  return { ...folder, root, media, put, folder: folder.path };
}

async function close(held: AsyncDisposable): Promise<void> {
  await held[Symbol.asyncDispose]();
}

async function codeOf(action: Promise<unknown>): Promise<string> {
  return await action.then(
    () => "accepted",
    (error: unknown) => toMirumojiError(error).code,
  );
}

describe("openInput", () => {
  it("gives the real place of a usable file", async () => {
    await using test = await setup();
    await run("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", "sine=d=0.2", join(test.root, "tone.wav")]);
    await using input = await test.media.openInput({ path: "tone.wav", needs: "audio", signal });
    expect(input).toMatchObject({
      seconds: expect.closeTo(0.2, 1) as number,
      track: { kind: "audio", number: 1, codec: "pcm_s16le", why: "the only one" },
      warnings: [],
    });
    expect(await readFile(input.localPath ?? "")).toEqual(await readFile(join(test.root, "tone.wav")));
    expect(await codeOf(test.media.openInput({ path: "tone.wav", needs: "video", signal }).then(close))).toBe(
      "INPUT_NOT_MEDIA",
    );
  });

  it("refuses what cannot be an input, each with its code", async () => {
    await using test = await setup();
    await test.put("text.mp4", "this is no film");
    await test.put("empty.mp4", "");
    await mkdir(join(test.root, "folder"));
    await symlink(join(test.folder, "outside", "secret.wav"), join(test.root, "link.wav"));
    await symlink(join(test.folder, "outside"), join(test.root, "linked"));
    await symlink("loop", join(test.root, "loop"));
    const open = async (path: string) =>
      await codeOf(test.media.openInput({ path, needs: "audio", signal }).then(close));
    expect(await open("missing.mp4")).toBe("INPUT_NOT_FOUND");
    expect(await open("text.mp4/inside")).toBe("INPUT_NOT_FOUND");
    expect(await open("loop")).toBe("INPUT_NOT_FOUND");
    expect(await open(`${"x".repeat(300)}.mp4`)).toBe("INPUT_NOT_FOUND");
    expect(await open("folder")).toBe("INPUT_NOT_A_FILE");
    expect(await open(".")).toBe("INPUT_NOT_A_FILE");
    expect(await open("empty.mp4")).toBe("INPUT_EMPTY");
    expect(await open("text.mp4")).toBe("INPUT_NOT_MEDIA");
    expect(await open("link.wav")).toBe("PATH_OUTSIDE_MEDIA_ROOT");
    expect(await open("linked/secret.wav")).toBe("PATH_OUTSIDE_MEDIA_ROOT");
    expect(await open("../outside/secret.wav")).toBe("PATH_OUTSIDE_MEDIA_ROOT");
    expect(await open(join(test.folder, "outside", "secret.wav"))).toBe("PATH_OUTSIDE_MEDIA_ROOT");
    // No decoding happens: an escaped path is just a name that does not exist.
    expect(await open("%2e%2e/outside/secret.wav")).toBe("INPUT_NOT_FOUND");
  });

  it("knows a film from a sound, also without a program, and a file that became another one", async () => {
    await using test = await setup();
    const film = join(test.root, "film.mp4");
    const make = async (...inputs: string[]) =>
      await run("ffmpeg", [
        "-v",
        "error",
        "-y",
        ...inputs.flatMap((input) => ["-f", "lavfi", "-i", input]),
        film,
      ]);
    const open = async (needs: "audio" | "video") =>
      await codeOf(test.media.openInput({ path: "film.mp4", needs, signal }).then(close));
    await make("testsrc=d=0.4:s=64x64", "sine=d=0.4");
    expect([await open("video"), await open("audio")]).toEqual(["accepted", "accepted"]);
    const path = process.env["PATH"];
    process.env["PATH"] = "/nonexistent";
    try {
      await expect(quickLookForVideo(film, 1)).resolves.toMatchObject({ seconds: expect.closeTo(0.4, 1) });
      await expect(quickLookForVideo(film, 2 ** 30)).resolves.toBeNull();
      expect([await open("video"), await open("audio")]).toEqual(["accepted", "accepted"]);
    } finally {
      process.env["PATH"] = path;
    }
    await make("sine=d=0.4");
    expect([await open("video"), await open("audio")]).toEqual(["INPUT_NOT_MEDIA", "accepted"]);
    await writeFile(film, (await readFile(film)).subarray(0, 100));
    expect([await open("video"), await open("audio")]).toEqual(["INPUT_NOT_MEDIA", "INPUT_NOT_MEDIA"]);
    await expect(quickLookForVideo(film, 100)).resolves.toBeNull();
  });

  it("never lets a file name be read as a protocol or an option", async () => {
    await using test = await setup();
    await run("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", "sine=d=0.2", join(test.root, "-i.wav")]);
    await run("ffmpeg", [
      "-v",
      "error",
      "-f",
      "lavfi",
      "-i",
      "sine=d=0.2",
      "-f",
      "wav",
      `file:${test.root}/concat:a|b`,
    ]);
    for (const path of ["-i.wav", "concat:a|b"]) {
      await using input = await test.media.openInput({ path, needs: "audio", signal });
      expect(await readFile(input.localPath ?? "")).toEqual(await readFile(join(test.root, path)));
    }
  });
});

describe("outputs", () => {
  const srt = (path: string) => ({ path, format: "srt" as const });

  it("writes whole files with their size and digest, making folders", async () => {
    await using test = await setup();
    const written = await test.media.writeOutputs({
      jobId: "job-1",
      outputs: [{ output: srt("a/b/out.srt"), fill: async (handle) => await handle.writeFile("hello\n") }],
    });
    expect(written).toEqual([
      {
        path: "a/b/out.srt",
        format: "srt",
        bytes: 6,
        sha256: createHash("sha256").update("hello\n").digest("hex"),
      },
    ]);
    expect(await readFile(join(test.root, "a/b/out.srt"), "utf8")).toBe("hello\n");
    await test.media.removePartialOutputs([srt("a/b/out.srt")]);
    expect(await readdir(join(test.root, "a/b"))).toEqual(["out.srt"]);
  });

  it("leaves no file of a worker that lost its lease, and takes none of the one that has it", async () => {
    await using test = await setup();
    const lost = new MirumojiError("LEASE_LOST", "another worker owns the job now");
    const write = async (fill: (handle: FileHandle) => Promise<void>) =>
      await test.media.writeOutputs({
        jobId: "job-1",
        outputs: [{ output: { path: "film.mp4", format: "mp4" }, fill, sha256: "0".repeat(64) }],
      });
    const stale = async (handle: FileHandle) => {
      await handle.writeFile("half");
      throw lost;
    };
    await expect(write(stale)).rejects.toBe(lost);
    expect(await readdir(test.root)).toEqual([]);
    const stopped = new MirumojiError("INTERRUPTED", "stopping");
    await expect(write(async () => await Promise.reject(stopped))).rejects.toBe(stopped);
    const [partial] = await readdir(test.root);
    await expect(write(stale)).rejects.toBe(lost);
    expect(await readdir(test.root)).toEqual([partial]);
  });

  it("shares no file with a worker that was frozen while it wrote a text", async () => {
    await using test = await setup();
    let frozen: FileHandle | undefined;
    const stopped = new MirumojiError("INTERRUPTED", "stopping");
    const write = async (fill: (handle: FileHandle) => Promise<void>) =>
      await test.media.writeOutputs({ jobId: "job-1", outputs: [{ output: srt("out.srt"), fill }] });
    const freeze = async () => {
      const [partial = ""] = await readdir(test.root);
      frozen = await openFile(join(test.root, partial), "r+");
      throw stopped;
    };
    await expect(write(freeze)).rejects.toBe(stopped);
    await write(async (handle) => await handle.writeFile("right"));
    await frozen?.truncate(0);
    await frozen?.close();
    expect(await readFile(join(test.root, "out.srt"), "utf8")).toBe("right");
    await test.media.removePartialOutputs([srt("out.srt")]);
    expect(await readdir(test.root)).toEqual(["out.srt"]);
  });

  it("leaves the old files and no litter when writing one of them fails", async () => {
    await using test = await setup();
    await test.put("one.srt", "old");
    await test.put("two.srt", "old");
    const failing = test.media.writeOutputs({
      overwrite: true,
      outputs: [
        { output: srt("one.srt"), fill: async (handle) => await handle.writeFile("new") },
        {
          output: srt("two.srt"),
          fill: async (handle) => {
            await handle.writeFile("half");
            throw new Error("cut");
          },
        },
      ],
    });
    await expect(failing).rejects.toThrow("cut");
    expect(await readFile(join(test.root, "one.srt"), "utf8")).toBe("old");
    expect(await readFile(join(test.root, "two.srt"), "utf8")).toBe("old");
    expect(await readdir(test.root)).toEqual(["one.srt", "two.srt"]);
  });

  it.each([
    ["keeps", "was cut off on its way", "INTERRUPTED", "half and whole"],
    ["keeps", "did not come through", "TRANSFER_FAILED", "half and whole"],
    ["does not keep", "was wrong", "TRANSFER_CORRUPT", " and whole"],
    ["does not keep", "did not fit", "DISK_FULL", " and whole"],
  ] as const)("%s the part of an output that %s", async (_keeps, _what, code, expected) => {
    await using test = await setup();
    const sha256 = createHash("sha256").update(expected).digest("hex");
    const write = async (fill: (handle: FileHandle) => Promise<void>) =>
      await test.media.writeOutputs({ jobId: "job-1", outputs: [{ output: srt("one.srt"), fill, sha256 }] });
    const failing = write(async (handle) => {
      await handle.writeFile("half");
      throw new MirumojiError(code, "as the test wants");
    });
    await expect(failing).rejects.toMatchObject({ code });
    await write(async (handle) => {
      await handle.write(" and whole", (await handle.stat()).size);
    });
    expect(await readFile(join(test.root, "one.srt"), "utf8")).toBe(expected);
    await test.media.removePartialOutputs([srt("one.srt")]);
    expect(await readdir(test.root)).toEqual(["one.srt"]);
  });

  it("says that a try is worth another one when the folder changed under the job", async () => {
    await using test = await setup();
    await test.put("file", "x");
    const writing = test.media.writeOutputs({
      jobId: "job-1",
      outputs: [{ output: srt("file/out.srt"), fill: async () => await Promise.resolve() }],
    });
    expect(await codeOf(writing)).toBe("OUTPUT_WRITE_FAILED");
  });

  it("refuses targets that cannot be written", async () => {
    await using test = await setup();
    await test.put("file", "x");
    await mkdir(join(test.root, "folder.srt"));
    await symlink(join(test.folder, "outside"), join(test.root, "linked"));
    const check = async (path: string) => await codeOf(test.media.checkOutputs([srt(path)]));
    expect(await check("new/deep/out.srt")).toBe("accepted");
    expect(await check("file/out.srt")).toBe("OUTPUT_UNWRITABLE");
    expect(await check("folder.srt")).toBe("OUTPUT_UNWRITABLE");
    expect(await check(`${"x".repeat(300)}.srt`)).toBe("OUTPUT_UNWRITABLE");
    expect(await check("linked/out.srt")).toBe("PATH_OUTSIDE_MEDIA_ROOT");
    expect(await readdir(test.root)).not.toContain("new");
  });

  it("removes only its own unfinished files", async () => {
    await using test = await setup();
    const output = srt("out.srt");
    let partial = "";
    const fill = async () => {
      partial = (await readdir(test.root)).find((name) => name.endsWith(".part")) ?? "";
    };
    await test.media.writeOutputs({ jobId: "job-1", outputs: [{ output, fill }] });
    await test.put(partial, "left by a crash");
    await test.put(".other.part", "of another job");
    await test.media.removePartialOutputs([output]);
    expect((await readdir(test.root)).toSorted()).toEqual([".other.part", "out.srt"]);
  });
});
