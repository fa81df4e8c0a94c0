import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JobView } from "../../src/job/summary.ts";
import { expectGone } from "../helpers/gpu-host/host.ts";
import { expectBooksCleared } from "../../support/redis.ts";
import { type Stack, startStack, type WorkerProcess } from "../../support/stack.ts";

/** Function with one failure per kind; the input's name selects it. */
const HANDLER = `
import os, subprocess, sys, time

def transcribe(vol_fp, vol_id, output_format="segments", *, w_model_args=None, w_transcribe_args=None):
    what = os.path.basename(vol_fp).split(".")[0]
    if what == "raises":
        raise ValueError("the moon is wrong")
    if what == "nothing":
        return None
    if what == "binary":
        os.write(1, bytes(range(256)) * 4096)
        os.write(2, bytes(range(256)) * 4096)
        return b"\\xff\\xfe"
    if what == "forks":
        pids = [subprocess.Popen(["sleep", "600"]).pid, os.fork()]
        if pids[1] == 0:
            time.sleep(600)
        with open(os.environ["MIRUMOJI_TEST_PIDS"], "w") as file:
            print(*pids, file=file)
        return "forked"
    if what == "killed":
        os.kill(os.getpid(), 9)
    if what == "exits":
        os._exit(3)
    if what == "leaves":
        sys.exit(4)
    if what == "hangs":
        time.sleep(600)
    if what == "text":
        return "1\\n00:00:00,000 --> 00:00:01,000\\nhello\\n"
    if what == "number":
        return {"v": 1, "ok": True, "path": 7}
    if what == "nofile":
        return {"v": 1, "ok": True, "path": "nowhere.json", "engine": "none", "mediaSeconds": 1, "gpuSeconds": 1}
    if what == "code":
        return {"v": 1, "ok": False, "error": {"code": "NEVER_HEARD", "message": "something of its own"}}
    if what == "unsendable":
        return object()
    if what == "memory":
        raise MemoryError("CUDA out of memory")

convert = transcribe
`;

let stack: Stack;
let worker: WorkerProcess;
beforeAll(async () => {
  stack = await startStack();
  process.env["MIRUMOJI_TEST_PIDS"] = join(stack.mediaRoot, "..", "pids");
  const handler = join(stack.mediaRoot, "..", "trouble.py");
  await writeFile(handler, HANDLER);
  worker = await stack.startWorker({ MIRUMOJI_HANDLER: handler, MIRUMOJI_MODAL_TIMEOUT: "3" });
}, 60_000);
afterAll(async () => await stack[Symbol.asyncDispose]());

/** Runs one job that goes wrong in the given way, to its end. */
async function run(what: string, within = stack): Promise<JobView> {
  await within.put(`${what}.mp4`);
  const { id } = await within.client.submit("transcribe", { input: `${what}.mp4`, language: "en" });
  return await within.client.wait(id, { pollMs: 50 });
}

async function expectNothingLeft(within = stack): Promise<void> {
  const stats = within.host.stats();
  expect(stats.volumes.live, "volumes left").toBe(0);
  expect(stats.calls.running, "calls left").toBe(0);
  await expectBooksCleared(within.redisUrl);
}

describe("a function that goes wrong", () => {
  it.each([
    ["raises", "FUNCTION_FAILED", /ValueError.*the moon is wrong/u],
    ["nothing", "FUNCTION_RESULT_INVALID", /does not match the contract/u],
    ["binary", "FUNCTION_RESULT_INVALID", /does not match the contract/u],
    ["forks", "FUNCTION_RESULT_INVALID", /does not match the contract/u],
    ["exits", "FUNCTION_FAILED", /exit code: 3/u],
    ["leaves", "FUNCTION_FAILED", /SystemExit\(4\)/u],
    ["hangs", "FUNCTION_TIMED_OUT", /3s/u],
    ["text", "FUNCTION_RESULT_INVALID", /does not match the contract/u],
    ["number", "FUNCTION_RESULT_INVALID", /path/u],
    ["nofile", "FUNCTION_RESULT_INVALID", /"nowhere\.json", but the volume has no such file/u],
    ["code", "ENGINE_FAILED", /something of its own/u],
    ["unsendable", "FUNCTION_FAILED", /SerializationError/u],
    ["memory", "FUNCTION_OUT_OF_MEMORY", /CUDA out of memory/u],
  ])("fails its job with a code of its own, once: %s", async (what, code, message) => {
    const before = stack.host.stats().calls.started;
    const job = await run(what);
    expect(job).toMatchObject({ status: "failed", outputs: [], error: { code } });
    expect(job.error?.message).toMatch(message);
    expect(stack.host.stats().calls.started - before).toBe(1);
    expect(await readdir(stack.mediaRoot)).not.toContain(`${what}.srt`);
    await expectNothingLeft();
  });

  it("leaves no process of its own behind", async () => {
    const pids = (await readFile(join(stack.mediaRoot, "..", "pids"), "utf8")).trim().split(" ").map(Number);
    expect(pids).toHaveLength(2);
    await expectGone(pids);
  });

  it("is called again when it is killed, and not for ever", async () => {
    const before = stack.host.stats().calls.started;
    const job = await run("killed");
    expect(job).toMatchObject({ status: "failed", error: { code: "PLATFORM_FAILED" } });
    expect(job.error?.message).toMatch(/SIGKILL/u);
    expect(stack.host.stats().calls.started - before).toBe(4);
    await expectNothingLeft();
  }, 60_000);

  it.each([
    [9, "FUNCTION_OUT_OF_MEMORY", 1],
    [10, "FUNCTION_OUT_OF_MEMORY", 1],
    // Paid once more, since it may be the platform's doing, and never a third time.
    [77, "CALL_STATUS_UNKNOWN", 2],
  ])("that ends with Modal's status %i is %s after %i calls", async (status, code, calls) => {
    const fault = { result: status, times: calls };
    expect((await fetch(stack.host.adminUrl, { method: "POST", body: JSON.stringify(fault) })).ok).toBe(true);
    const before = stack.host.stats().calls.started;
    const job = await run("nothing");
    expect(job).toMatchObject({ status: "failed", error: { code } });
    if (status === 77) expect(job.error?.message).toContain("status 77");
    expect(stack.host.stats().calls.started - before).toBe(calls);
    await expectNothingLeft();
  });

  it("does the worker no harm", () => {
    expect(worker.child.exitCode).toBeNull();
    expect(worker.log()).not.toMatch(/unhandled|uncaught/iu);
  });
});

describe("functions that cannot even be registered or started", () => {
  it("fail the job when the handler has a syntax error", async () => {
    await using other = await startStack();
    const handler = join(other.mediaRoot, "..", "broken.py");
    await writeFile(handler, "def transcribe(:\n");
    await other.startWorker({ MIRUMOJI_HANDLER: handler });
    const job = await run("film", other);
    expect(job).toMatchObject({ status: "failed", error: { code: "FUNCTION_START_FAILED" } });
    expect(job.error?.message).toMatch(/SyntaxError.*broken\.py/u);
    await expectNothingLeft(other);
  });

  it("fail the job when there is no such handler file", async () => {
    await using other = await startStack();
    await other.startWorker({ MIRUMOJI_HANDLER: "/nowhere/handler.py" });
    const job = await run("film", other);
    expect(job).toMatchObject({ status: "failed", error: { code: "CONFIG_INVALID" } });
    expect(job.error?.message).toContain("/nowhere/handler.py");
    await expectNothingLeft(other);
  });

  it("fail the job when the image does not exist, and are registered when it does", async () => {
    await using other = await startStack();
    const fault = { image: "fail", message: "manifest for a/b:9 not found", times: 2 };
    await fetch(other.host.adminUrl, { method: "POST", body: JSON.stringify(fault) });
    const started = await other.startWorker({ MIRUMOJI_MODAL_IMAGE: "docker.io/a/b:9" });
    while (!started.log().includes("functions cannot be registered")) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const job = await run("film", other);
    expect(job).toMatchObject({ status: "failed", error: { code: "IMAGE_BUILD_FAILED" } });
    expect(job.error?.message).toMatch(/docker\.io\/a\/b:9.*manifest for a\/b:9 not found/u);
    expect(other.host.stats().apps).toEqual({ live: 0, created: 2 });
    await expectNothingLeft(other);
    expect(await run("again", other)).toMatchObject({ status: "completed" });
  });

  it.each([
    [{ MIRUMOJI_TRANSCRIBE_FUNCTION: "no_such_module:run" }, "FUNCTION_START_FAILED", /no_such_module/u],
    [{ MODAL_APP_MODE: "existing", MIRUMOJI_MODAL_APP_NAME: "nobodys" }, "CONFIG_INVALID", /"nobodys"/u],
    [{ MIRUMOJI_MODAL_REGISTRY_SECRET: "nobodys" }, "CONFIG_INVALID", /"nobodys"/u],
  ])("fail the job when the settings name what is not there: %j", async (settings, code, message) => {
    await using other = await startStack();
    await other.startWorker({ ...(settings as Record<string, string>) });
    const job = await run("film", other);
    expect(job).toMatchObject({ status: "failed", error: { code } });
    expect(job.error?.message).toMatch(message);
    await expectNothingLeft(other);
  });
});
