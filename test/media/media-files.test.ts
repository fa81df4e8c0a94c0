import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { toMirumojiError } from "../../src/job/errors.ts";
import { createMediaFiles } from "../../src/media/media-files.ts";
import { openMediaRoot } from "../../src/media/media-root.ts";
import { testFolder } from "../helpers/folder.ts";

const run = promisify(execFile);
const signal = new AbortController().signal;

async function setup() {
  const folder = await testFolder();
  const root = join(folder.path, "media");
  await mkdir(root);
  await mkdir(join(folder.path, "outside"));
  await writeFile(join(folder.path, "outside", "secret.wav"), "secret");
  const media = createMediaFiles(await openMediaRoot(root));
  const put = async (path: string, data: string) => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), data);
  };
  return { ...folder, root, media, put, folder: folder.path };
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
    await expect(test.media.openInput({ path: "tone.wav", needs: "audio", signal })).resolves.toEqual({
      localPath: join(test.root, "tone.wav"),
      seconds: expect.closeTo(0.2, 1),
    });
    expect(await codeOf(test.media.openInput({ path: "tone.wav", needs: "video", signal }))).toBe(
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
    const open = async (path: string) => await codeOf(test.media.openInput({ path, needs: "audio", signal }));
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
    await expect(test.media.openInput({ path: "-i.wav", needs: "audio", signal })).resolves.toBeDefined();
    await expect(test.media.openInput({ path: "concat:a|b", needs: "audio", signal })).resolves.toBeDefined();
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
    expect(await readdir(join(test.root, "a/b"))).toEqual(["out.srt"]);
  });

  it("leaves the old files and no litter when writing one of them fails", async () => {
    await using test = await setup();
    await test.put("one.srt", "old");
    await test.put("two.srt", "old");
    const failing = test.media.writeOutputs({
      jobId: "job-1",
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
    await test.media.removePartialOutputs({ jobId: "job-1", outputs: [output] });
    expect((await readdir(test.root)).toSorted()).toEqual([".other.part", "out.srt"]);
  });
});
