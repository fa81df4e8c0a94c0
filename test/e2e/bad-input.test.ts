import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { mkdir, readdir, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DevServices, expectNothingLeft, startDev } from "../../support/dev.ts";
import { expectBooksCleared } from "../../support/redis.ts";

let dev: DevServices;
let redis: Redis;
beforeAll(async () => {
  dev = await startDev();
  redis = new Redis(dev.ready.redisUrl, { maxRetriesPerRequest: null });
});
afterAll(async () => {
  redis.disconnect();
  await dev[Symbol.asyncDispose]();
});

/** Adds arbitrary data to a queue, as another program could, and waits for the outcome. */
async function enqueue(queueName: string, name: string, data: unknown) {
  const queue = new Queue(queueName, { connection: redis, prefix: "{mirumoji}" });
  const job = await queue.add(name, data, { attempts: 3, removeOnFail: false });
  const view = await dev.client.wait(job.id ?? "", { pollMs: 50 });
  await queue.close();
  return view;
}

const convert = async (fields: object) => await enqueue("convert", "convert", { v: 1, ...fields });

describe("a job from another program", () => {
  it.each([
    ["a missing file", { input: "missing.mkv" }, "INPUT_NOT_FOUND"],
    ["a folder", { input: "folder" }, "INPUT_NOT_A_FILE"],
    ["an empty file", { input: "empty.mkv" }, "INPUT_EMPTY"],
    ["a file that is no media", { input: "text.mkv" }, "INPUT_NOT_MEDIA"],
    ["dots", { input: "../media/film.mp4" }, "PATH_OUTSIDE_MEDIA_ROOT"],
    ["an absolute path", { input: "/etc/hostname" }, "PATH_OUTSIDE_MEDIA_ROOT"],
    ["a symlink that leads out", { input: "link/hostname" }, "PATH_OUTSIDE_MEDIA_ROOT"],
    ["a NUL", { input: "film\0.mp4" }, "PATH_OUTSIDE_MEDIA_ROOT"],
    ["an output in a file", { input: "film.mp4", output: "text.mkv/out.mp4" }, "OUTPUT_UNWRITABLE"],
    ["an output that is a folder", { input: "film.mp4", output: "folder" }, "OUTPUT_UNWRITABLE"],
    ["an output that exists", { input: "film.mp4", output: "text.mkv" }, "OUTPUT_EXISTS"],
    ["the input", { input: "film.mp4", output: "alias/film.mp4", overwrite: true }, "REQUEST_INVALID"],
    ["an output outside", { input: "film.mp4", output: "link/out.mp4" }, "PATH_OUTSIDE_MEDIA_ROOT"],
    ["a wrong type", { input: ["film.mp4"] }, "REQUEST_INVALID"],
    ["a bad resolution", { input: "film.mp4", resolution: "huge" }, "REQUEST_INVALID"],
    ["an unknown version", { v: 0, input: "film.mp4" }, "CONTRACT_VERSION_UNKNOWN"],
  ])("fails with its own code: %s", async (_what, fields, code) => {
    await dev.put("film.mp4");
    await dev.put("empty.mkv", "");
    await dev.put("text.mkv", "no media at all");
    await mkdir(join(dev.ready.mediaRoot, "folder"), { recursive: true });
    await symlink("/etc", join(dev.ready.mediaRoot, "link")).catch(() => undefined);
    await symlink(".", join(dev.ready.mediaRoot, "alias")).catch(() => undefined);
    const before = await readdir(dev.ready.mediaRoot, { recursive: false });
    const job = await convert(fields);
    expect(job).toMatchObject({ status: "failed", state: "failed", outputs: [], error: { code } });
    expect(job.error?.message.length).toBeGreaterThan(20);
    expect(await readdir(dev.ready.mediaRoot)).toEqual(before);
  });

  it.each([
    ["an unknown name", "convert", "explode", { v: 1, input: "film.mp4" }, "JOB_TYPE_UNKNOWN"],
    ["the other queue's name", "convert", "transcribe", { v: 1, input: "film.mp4" }, "JOB_TYPE_UNKNOWN"],
    ["a string", "transcribe", "transcribe", "garbage", "REQUEST_INVALID"],
    ["null", "transcribe", "transcribe", null, "REQUEST_INVALID"],
    ["a list", "transcribe", "transcribe", [1, 2], "REQUEST_INVALID"],
  ])("fails garbage with its own code: %s", async (_what, queue, name, data, code) => {
    expect(await enqueue(queue, name, data)).toMatchObject({ status: "failed", error: { code } });
  });

  it("is refused while another one writes the same output, which overwrites only where it is told to", async () => {
    await dev.put("film.mp4");
    await dev.put("shared.mp4", "made by hand");
    const request = { v: 1, input: "film.mp4", output: "shared.mp4", resolution: "64x64", overwrite: true };
    const queue = new Queue("convert", { connection: redis, prefix: "{mirumoji}" });
    const jobs = await queue.addBulk([1, 2].map(() => ({ name: "convert", data: request })));
    const ends = await Promise.all(
      jobs.map(async ({ id = "" }) => await dev.client.wait(id, { pollMs: 50 })),
    );
    await queue.close();
    const codes = ends.map(({ status, error }) => error?.code ?? status);
    expect(codes.toSorted()).toEqual(["OUTPUT_CLAIMED", "completed"]);
    const [written] = ends.flatMap(({ outputs }) => outputs);
    expect((await stat(join(dev.ready.mediaRoot, "shared.mp4"))).size).toBe(written?.bytes);
    expect((await readdir(dev.ready.mediaRoot)).filter((name) => name.endsWith(".part"))).toEqual([]);
    expect(await redis.exists("{mirumoji}:claims")).toBe(0);
  });

  it("fails Japanese for an engine that knows only English, and transcribes nothing", async () => {
    await dev.put("film.mp4");
    const before = await dev.stats();
    const job = await enqueue("transcribe", "transcribe", { v: 1, input: "film.mp4" });
    expect(job).toMatchObject({ status: "failed", outputs: [], error: { code: "LANGUAGE_UNSUPPORTED" } });
    // Nothing was paid to find that out.
    const after = await dev.stats();
    expect([after.volumes.created, after.calls.list.length]).toEqual([
      before.volumes.created,
      before.calls.list.length,
    ]);
  });

  it("fails an option that the engine does not have", async () => {
    await dev.put("film.mp4");
    const job = await enqueue("transcribe", "transcribe", {
      v: 1,
      input: "film.mp4",
      language: "en",
      beam_size: 9,
    });
    expect(job).toMatchObject({ status: "failed", error: { code: "OPTION_UNSUPPORTED" } });
  });
});

describe("the command line", () => {
  it.each([
    ["missing.mkv", "INPUT_NOT_FOUND"],
    ["../film.mp4", "PATH_OUTSIDE_MEDIA_ROOT"],
    ["/etc/hostname", "PATH_OUTSIDE_MEDIA_ROOT"],
  ])("refuses %s before anything is queued", async (path, code) => {
    const before = (await dev.client.list({ limit: 500 })).length;
    const result = await dev.command("submit", "convert", path, "--json");
    expect(result.code).not.toBe(0);
    expect(result.stderr).toContain(code);
    expect(JSON.parse(result.stdout)).toMatchObject({ error: { code } });
    expect((await dev.client.list({ limit: 500 })).length).toBe(before);
  });

  it("refuses wrong options and unknown jobs", async () => {
    await dev.put("film.mp4");
    expect((await dev.command("submit", "convert", "film.mp4", "--resolution", "big")).stderr).toContain(
      "resolution",
    );
    expect((await dev.command("submit", "burn", "film.mp4")).code).not.toBe(0);
    expect((await dev.command("submit", "convert")).code).not.toBe(0);
    const unknown = await dev.command("status", "nobody", "--json");
    expect(unknown.code).not.toBe(0);
    expect(JSON.parse(unknown.stdout)).toMatchObject({ error: { code: "JOB_NOT_FOUND" } });
  });

  it("ends with an exit code that is not 0 when the job fails", async () => {
    await dev.put("film.mp4");
    const result = await dev.command("submit", "transcribe", "film.mp4", "--wait", "--json");
    expect(result.code).toBe(1);
    expect(result.stderr).toContain("LANGUAGE_UNSUPPORTED");
    expect(JSON.parse(result.stdout)).toMatchObject({
      status: "failed",
      error: { code: "LANGUAGE_UNSUPPORTED" },
    });
  });
});

it("leaves nothing behind", async () => {
  await expectNothingLeft(dev);
  await expectBooksCleared(dev.ready.redisUrl);
});
