import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Stack, startStack } from "../../support/stack.ts";

/** Functions as they would be inside an image, with Mirumoji's signatures and results. */
const IN_IMAGE = `
import os, time

def transcribe_job(vol_fp, vol_id, output_format="srt", *, w_model_args=None, w_transcribe_args=None):
    import modal
    size = len(b"".join(modal.Volume.from_id(vol_id).read_file(vol_fp)))
    time.sleep(3 if os.path.basename(vol_fp).startswith("long") else 0.5)
    said = [f"{size} bytes", "in " + w_transcribe_args["language"]]
    if output_format != "srt":
        return "。".join(said)
    return "\\n".join(f"{i + 1}\\n00:00:0{i},000 --> 00:00:0{i + 1},000\\n{text}\\n" for i, text in enumerate(said))

def convert_job(vol_fp, vol_id, to_mp4_kwargs=None):
    import modal
    out = vol_fp + ".out"
    with modal.Volume.from_id(vol_id).batch_upload() as batch:
        batch.put_file(__file__, out)
    return out
`;

const FUNCTIONS = {
  MIRUMOJI_TRANSCRIBE_FUNCTION: "image_jobs.speech:transcribe_job",
  MIRUMOJI_CONVERT_FUNCTION: "image_jobs.speech:convert_job",
};

/** Redis, a GPU host and a package that its functions find like one in an image. */
async function startWithImage(): Promise<Stack> {
  const stack = await startStack();
  const folder = join(stack.mediaRoot, "..", "site-packages");
  await mkdir(join(folder, "image_jobs"), { recursive: true });
  await writeFile(join(folder, "image_jobs", "__init__.py"), "");
  await writeFile(join(folder, "image_jobs", "speech.py"), IN_IMAGE);
  process.env["PYTHONPATH"] = folder;
  return stack;
}

describe("the image's own functions", () => {
  it("transcribe and convert, with nothing of ours mounted", async () => {
    await using stack = await startWithImage();
    await stack.startWorker(FUNCTIONS);
    const formats = ["srt", "vtt", "json", "txt", "joined"] as const;
    const { id } = await stack.client.submit("transcribe", {
      input: "film.mp4",
      language: "en",
      formats: [...formats],
    });
    const job = await stack.client.wait(id, { pollMs: 50 });
    expect(job).toMatchObject({
      status: "completed",
      error: null,
      report: { engine: FUNCTIONS.MIRUMOJI_TRANSCRIBE_FUNCTION, warnings: [] },
    });
    expect(job.report?.gpuSeconds).toBeGreaterThan(0.4);
    expect(job.report?.gpuSeconds).toBeLessThan(10);
    expect(job.report?.mediaSeconds).toBeGreaterThan(1);
    const text = async (name: string) => await readFile(join(stack.mediaRoot, name), "utf8");
    const size = (await readFile(join(stack.mediaRoot, "film.mp4"))).length;
    expect(await text("film.srt")).toContain(`00:00:00,000 --> 00:00:01,000\n${size} bytes\n`);
    expect(await text("film.txt")).toBe(`${size} bytes\nin en\n`);
    expect(await text("film.joined.txt")).toBe(`${size} bytes。in en`);
    expect(await text("film.vtt")).toMatch(/^WEBVTT/u);

    const joined = await stack.client.submit("transcribe", {
      input: "film.mp4",
      output: "only",
      formats: ["joined"],
    });
    expect(await stack.client.wait(joined.id)).toMatchObject({ status: "completed" });
    expect(await text("only.joined.txt")).toBe(`${size} bytes。in ja`);

    const convert = await stack.client.submit("convert", { input: "film.mp4", output: "out.mp4" });
    expect(await stack.client.wait(convert.id)).toMatchObject({
      status: "completed",
      report: { engine: FUNCTIONS.MIRUMOJI_CONVERT_FUNCTION },
    });
    expect(await text("out.mp4")).toBe(IN_IMAGE);
    expect(stack.host.stats().volumes.live).toBe(0);
  });
});

describe("a deployed app", () => {
  const DEPLOYED = { ...FUNCTIONS, MODAL_APP_MODE: "deployed" };

  it("is deployed by a command, once, and used by every worker", async () => {
    await using stack = await startWithImage();
    const first = await stack.command(["deploy", "--json"], FUNCTIONS);
    expect(first.code).toBe(0);
    const deployment = JSON.parse(first.stdout) as { appId: string };
    expect(deployment).toMatchObject({ appName: "mirumoji-gpu", isNew: true });
    const again = JSON.parse((await stack.command(["deploy", "--json"], FUNCTIONS)).stdout) as object;
    expect(again).toEqual({ ...deployment, isNew: false });
    const forced = JSON.parse(
      (await stack.command(["deploy", "--json", "--force"], FUNCTIONS)).stdout,
    ) as object;
    expect(forced).toEqual({ ...deployment, isNew: true });
    const worker = await stack.startWorker(DEPLOYED);
    const { id } = await stack.client.submit("transcribe", { input: "film.mp4" });
    expect(await stack.client.wait(id)).toMatchObject({ status: "completed" });
    expect(await worker.kill("SIGTERM")).toBe(0);
    expect(stack.host.stats().apps).toEqual({ live: 1, created: 1 });
    const failing = await stack.command(["deploy", "--json"], { MODAL_TOKEN_SECRET: "wrong" });
    expect(failing.code).toBe(1);
    expect(JSON.parse(failing.stdout)).toMatchObject({ error: { code: "MODAL_UNAUTHENTICATED" } });
  });

  it("keeps a call running while every worker is down; the next one takes up its result", async () => {
    await using stack = await startWithImage();
    await stack.put("long.mp4");
    const first = await stack.startWorker(DEPLOYED);
    const { id } = await stack.client.submit("transcribe", { input: "long.mp4" });
    await stack.seen(id, ({ state }) => state === "call" && stack.host.stats().calls.running === 1);
    await first.kill("SIGTERM");
    while (stack.host.stats().calls.running > 0) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(stack.host.stats().calls).toMatchObject({ started: 1, succeeded: 1 });
    // Set up otherwise: what the call gives is known from the call, not from this worker.
    await stack.startWorker({ MODAL_APP_MODE: "deployed" });
    expect(await stack.client.wait(id, { pollMs: 50 })).toMatchObject({ status: "completed", error: null });
    expect(stack.host.stats().calls.started).toBe(1);
  });

  it("is deployed again by the worker that finds it stopped, and the job goes on", async () => {
    await using stack = await startWithImage();
    const { appId } = JSON.parse((await stack.command(["deploy", "--json"], FUNCTIONS)).stdout) as {
      appId: string;
    };
    const worker = await stack.startWorker(DEPLOYED);
    while (!worker.log().includes("functions are registered")) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const fault = { app: "vanish", id: appId };
    expect((await fetch(stack.host.adminUrl, { method: "POST", body: JSON.stringify(fault) })).ok).toBe(true);
    const { id } = await stack.client.submit("transcribe", { input: "film.mp4" });
    expect(await stack.client.wait(id, { pollMs: 50 })).toMatchObject({ status: "completed" });
    expect(stack.host.stats().apps).toEqual({ live: 1, created: 2 });
  });

  it("can be used by workers that only look it up", async () => {
    await using stack = await startWithImage();
    const named = { ...FUNCTIONS, MIRUMOJI_MODAL_APP_NAME: "theirs" };
    expect((await stack.command(["deploy"], named)).stdout).toMatch(/^theirs \(ap-\w+\) is deployed/u);
    await stack.startWorker({ ...named, MODAL_APP_MODE: "existing" });
    const { id } = await stack.client.submit("transcribe", { input: "film.mp4" });
    expect(await stack.client.wait(id)).toMatchObject({
      status: "completed",
      report: { engine: FUNCTIONS.MIRUMOJI_TRANSCRIBE_FUNCTION },
    });
    expect(stack.host.stats().apps).toEqual({ live: 1, created: 1 });
  });
});
