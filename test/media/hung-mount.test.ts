import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { toMirumojiError } from "../../src/job/errors.ts";
import { createMediaFiles } from "../../src/media/media-files.ts";
import { openMediaRoot } from "../../src/media/media-root.ts";
import { storageGate } from "../../src/media/storage-gate.ts";
import { UnansweredError } from "../../src/modal/transfers/block-worker.ts";
import { openLocalInput } from "../../src/modal/transfers/local-input.ts";
import { createTransferLimiter } from "../../src/modal/transfers/transfer-limiter.ts";
import { Intake } from "../../src/pool/intake.ts";
import { startDiskWatch } from "../../src/pool/disk-watch.ts";
import { diskHealth } from "../../src/pool/health.ts";
import { testFolder } from "../../support/folder.ts";

const PROGRAM = fileURLToPath(new URL("../helpers/media/hung_fs.py", import.meta.url));

/** A media root with a mount in it that hangs; null where none can be made. */
async function setup() {
  const folder = await testFolder();
  const root = join(folder.path, "media");
  await mkdir(join(root, "hung"), { recursive: true });
  const child = spawn("python3", [PROGRAM, join(root, "hung")], { stdio: ["pipe", "pipe", "pipe"] });
  const exited = once(child, "exit");
  const [said] = await Promise.race([once(child.stdout, "data"), exited]);
  const isMounted = String(said).startsWith("mounted");
  if (!isMounted) console.warn("skipped: a mount that hangs (needs root, /dev/fuse and the right to mount)");
  return {
    isMounted,
    root,
    media: createMediaFiles(await openMediaRoot(root)),
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await exited;
      await folder[Symbol.asyncDispose]();
    },
  };
}

describe("a mount that hangs", () => {
  it("stops neither other files nor a cancel", async ({ skip }) => {
    await using test = await setup();
    if (!test.isMounted) skip();
    spawnSync("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", "sine=d=0.2", join(test.root, "tone.wav")]);
    const cancel = new AbortController();
    const open = async (path: string) =>
      await test.media.openInput({ path, needs: "audio", signal: cancel.signal });
    const output = { path: "hung/stuck.mkv", format: "srt" as const };
    const rules = { jobId: "j", input: "tone.wav", overwrite: false, signal: cancel.signal };
    // More than there are threads for files.
    const hanging = Array.from({ length: 12 }, async () => await open("hung/stuck.mkv"));
    hanging.push(
      test.media.checkOutputs({ ...rules, outputs: [output] }).then(async () => await open("never")),
      test.media
        .writeOutputs({ ...rules, outputs: [{ output, fill: async () => await Promise.resolve() }] })
        .then(async () => await open("never")),
      test.media
        .removePartialOutputs({ jobId: "j", outputs: [output], signal: cancel.signal })
        .then(async () => await open("never")),
    );
    const ended = Promise.allSettled(hanging);
    await using input = await open("tone.wav");
    expect(input.seconds).toBeCloseTo(0.2, 1);
    const began = performance.now();
    cancel.abort(new Error("cancelled"));
    const results = await ended;
    expect(performance.now() - began).toBeLessThan(8000);
    expect(results.map(({ status }) => status)).toEqual(results.map(() => "rejected"));
  });

  it("stops neither other transfers nor its own", async ({ skip }) => {
    await using test = await setup();
    if (!test.isMounted) skip();
    await writeFile(join(test.root, "fine"), "fine");
    const cancel = new AbortController();
    const { signal } = new AbortController();
    await createTransferLimiter().run(signal, async (slot) => {
      const { threads } = slot;
      const hung = await openLocalInput(join(test.root, "hung/film.mkv"), signal);
      const fine = await openLocalInput(join(test.root, "fine"), signal);
      const block = await slot.take(signal);
      const memory = block.memory;
      const loading = hung.load(0, block, threads, cancel.signal).catch((error: unknown) => error);
      const other = await slot.take(signal);
      expect(await fine.load(0, other, threads, signal)).toMatchObject({ readBytes: 4 });
      cancel.abort();
      expect(toMirumojiError(await loading)).toMatchObject({
        code: "STORAGE_UNAVAILABLE",
        cause: expect.any(UnansweredError) as Error,
      });
      // The file may still fill it.
      expect(block.memory).not.toBe(memory);
      for (const one of [block, other]) one.giveBack();
      await hung.close();
      await fine.close();
    });
  });

  it("keeps the worker from taking jobs, with one question under way", async ({ skip }) => {
    await using test = await setup();
    if (!test.isMounted) skip();
    const check = diskHealth(join(test.root, "hung"), 1);
    let asked = 0;
    const told: (string | null)[] = [];
    const watch = startDiskWatch({
      check: async () => {
        asked += 1;
        return await check();
      },
      intake: new Intake([]),
      onChange: (problem) => told.push(problem),
      onError: () => undefined,
      roundMs: 20,
      answerMs: 50,
    });
    await expect.poll(() => told).toEqual(["the media root does not answer"]);
    watch.stop();
    expect(asked).toBe(1);
  });
});

describe("the gate", () => {
  it("says that files do not answer, below one folder and not below others", async () => {
    const gate = storageGate({ slots: 4, patienceMs: 50 });
    const { signal } = new AbortController();
    const never = async () => await new Promise<never>(() => undefined);
    const ask = async (path: string, work: () => Promise<unknown>) =>
      await gate({ path, signal }, work).catch(toMirumojiError);
    const hanging = await Promise.all(
      ["nas/a", "nas/b", "nas/c"].map(async (path) => await ask(path, never)),
    );
    for (const error of hanging)
      expect(error).toMatchObject({ code: "STORAGE_UNAVAILABLE", kind: "storage" });
    const fine = async () => await Promise.resolve("fine");
    expect(await ask("nas/d", fine)).toMatchObject({ code: "STORAGE_UNAVAILABLE" });
    expect(await ask("other/a", fine)).toBe("fine");
    expect(await ask("a", fine)).toBe("fine");
  });

  it("hands late results to be closed, and the next in line its turn", async () => {
    const gate = storageGate({ slots: 2, patienceMs: 10_000 });
    const cancel = new AbortController();
    const { signal } = new AbortController();
    let finish = (_result: string): void => {};
    let tellBegun = (): void => {};
    const begun = new Promise<void>((resolve) => (tellBegun = resolve));
    const closed: string[] = [];
    const first = gate(
      { path: "a", signal: cancel.signal },
      async () =>
        await new Promise<string>((resolve) => {
          finish = resolve;
          tellBegun();
        }),
      async (result) => void closed.push(result),
    );
    const second = gate({ path: "b", signal }, async () => await Promise.resolve("second"));
    await begun;
    cancel.abort(new Error("cancelled"));
    await expect(first).rejects.toThrow("cancelled");
    finish("late");
    expect(await second).toBe("second");
    expect(closed).toEqual(["late"]);
  });
});

describe("the disk watch", () => {
  it("pauses and resumes with the check", async () => {
    let problem: string | null = "full";
    const done: string[] = [];
    const watch = startDiskWatch({
      check: async () => await Promise.resolve(problem),
      intake: new Intake([
        {
          pause: async () => {
            done.push("pause");
            await Promise.resolve();
          },
          resume: () => void done.push("resume"),
        },
      ]),
      onChange: (now) => done.push(String(now)),
      onError: () => undefined,
      roundMs: 5,
    });
    await expect.poll(() => done).toEqual(["full", "pause"]);
    problem = null;
    await expect.poll(() => done).toEqual(["full", "pause", "null", "resume"]);
    watch.stop();
  });
});
