import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Status } from "nice-grpc";
import { afterEach, describe, expect, test } from "vitest";
import { pids, startWithHandler as start } from "../helpers/gpu-host/calls.ts";
import {
  call,
  input,
  expectGone,
  isAlive,
  output,
  register,
  undoAll,
  value,
} from "../helpers/gpu-host/host.ts";

afterEach(undoAll);

const ResultStatus = {
  SUCCESS: 1,
  FAILURE: 2,
  TERMINATED: 3,
  TIMEOUT: 4,
  INIT_FAILURE: 5,
  INTERNAL_FAILURE: 6,
};

describe("a function that fails", () => {
  test("by an exception gives its text and traceback", async () => {
    const { host, cp, id } = await start();

    const { result } = await output(cp, await call(cp, id("fail")));

    expect(result).toMatchObject({ status: ResultStatus.FAILURE, exception: "ValueError('no such luck')" });
    expect(result.traceback).toContain("line");
    expect(host.stats().calls).toMatchObject({ succeeded: 0, failed: 1 });
  });

  test("by its result or its arguments says so", async () => {
    const { cp, id } = await start();

    const unserializable = (await output(cp, await call(cp, id("unserializable")))).result;
    const tooMany = (await output(cp, await call(cp, id("fail"), [1, 2]))).result;

    expect(unserializable.exception).toContain("SerializationError");
    expect(tooMany).toMatchObject({ status: ResultStatus.FAILURE });
    expect(tooMany.exception).toContain("TypeError");
  });

  test("by leaving or crashing gives an exit code; a kill from outside is the platform's", async () => {
    const { cp, id } = await start();
    const end = async (name: string, args: unknown[]) =>
      (await output(cp, await call(cp, id(name), args))).result;

    expect(await end("leave", [3])).toMatchObject({ status: ResultStatus.FAILURE, exitcode: 3 });
    expect(await end("crash", ["SIGSEGV"])).toMatchObject({ status: ResultStatus.FAILURE, exitcode: 139 });
    const killed = await end("crash", ["SIGKILL"]);
    expect(killed).toMatchObject({ status: ResultStatus.INTERNAL_FAILURE, exitcode: 137 });
    expect(killed.exception).toContain("137");
  });

  test("to start is told apart from one that fails", async () => {
    const { host, cp } = await start();
    const broken = await register(cp, "import no_such_module\n", ["echo"]);
    const missing = await register(cp, "x = 1\n", ["echo"]);
    const end = async (functionId = "") => (await output(cp, await call(cp, functionId))).result;

    const noModule = await end(broken.functions["echo"]);
    expect(noModule).toMatchObject({ status: ResultStatus.INIT_FAILURE });
    expect(noModule.exception).toContain("no_such_module");
    expect(await end(missing.functions["echo"])).toMatchObject({ status: ResultStatus.INIT_FAILURE });
    expect(host.stats().calls.failed).toBe(2);
  });

  test("because its arguments are lost is the platform's", async () => {
    const { cp, id, dataDir, directory } = await start({ maxConcurrentCalls: 1 });
    const blocker = await call(cp, id("slow"), [join(directory, "pids"), 60]);
    const { args } = input([]).input;
    const { blobId, uploadUrl = "" } = await cp.blobCreate({ contentLength: args.length });
    await fetch(uploadUrl, { method: "PUT", body: new Uint8Array(args) });
    const item = { idx: 0, input: { argsBlobId: blobId, dataFormat: 4 as const } };
    const { functionCallId } = await cp.functionMap({
      functionId: id("echo"),
      functionCallType: 1,
      pipelinedInputs: [item],
    });
    await rm(join(dataDir, "blobs", blobId));

    await cp.functionCallCancel({ functionCallId: blocker, terminateContainers: true });

    const { result } = await output(cp, functionCallId);
    expect(result).toMatchObject({ status: ResultStatus.INTERNAL_FAILURE });
  });

  test("because there is no Python is told apart, too", async () => {
    const { cp, id } = await start({ python: "/nonexistent/python" });

    const { result } = await output(cp, await call(cp, id("echo")));

    expect(result).toMatchObject({ status: ResultStatus.INIT_FAILURE });
    expect(result.exception).toContain("/nonexistent/python");
  });

  test("because what starts functions died is the platform's, leaves nothing, and does not happen again", async () => {
    const { cp, id, directory } = await start();
    const file = join(directory, "pids");
    const functionCallId = await call(cp, id("family"), [file]);
    const [launcher = 0, ...running] = await pids(file);

    process.kill(launcher, "SIGKILL");

    const { result } = await output(cp, functionCallId);
    expect(result).toMatchObject({ status: ResultStatus.INTERNAL_FAILURE });
    await expectGone([launcher, ...running]);
    expect(await value(cp, await call(cp, id("later")))).toBe("later");
  });

  test("to come to an end is stopped at its timeout, with all its processes", async () => {
    const { cp, id, directory } = await start({ timeoutSecs: 2 });
    const file = join(directory, "pids");
    const functionCallId = await call(cp, id("slow"), [file, 60]);
    const running = await pids(file);

    const { result } = await output(cp, functionCallId);

    expect(result).toMatchObject({ status: ResultStatus.TIMEOUT });
    await expectGone(running);
    const info = await cp.functionCallGetInfo({ functionId: id("slow"), functionCallId });
    expect(info.info).toMatchObject({ timeoutInputs: { total: 1 }, failedInputs: { total: 0 } });
  });
});

describe("cancelling", () => {
  test("stops the function and what it started, in a moment, after it cleaned up", async () => {
    const { host, cp, id, directory } = await start();
    const file = join(directory, "pids");
    const functionCallId = await call(cp, id("slow"), [file, 60]);
    const running = await pids(file);
    expect(running.filter(isAlive)).toEqual(running);
    const before = performance.now();

    await cp.functionCallCancel({ functionCallId });

    expect((await output(cp, functionCallId)).result).toMatchObject({ status: ResultStatus.TERMINATED });
    expect(performance.now() - before).toBeLessThan(1000);
    await expectGone(running);
    expect(existsSync(`${file}.cleaned`)).toBe(true);
    expect(host.stats().calls).toMatchObject({ running: 0, cancelled: 1, failed: 0 });
  });

  test("kills a function that does not listen, soon or at once", async () => {
    const { cp, id, directory } = await start();
    const stop = async (name: string, terminateContainers: boolean) => {
      const file = join(directory, name);
      const functionCallId = await call(cp, id("stubborn"), [file]);
      const running = await pids(file);
      const before = performance.now();
      await cp.functionCallCancel({ functionCallId, terminateContainers });
      const { result } = await output(cp, functionCallId);
      expect(result).toMatchObject({ status: ResultStatus.TERMINATED });
      await expectGone(running);
      return performance.now() - before;
    };

    expect(await stop("asked", false)).toBeGreaterThan(900);
    expect(await stop("killed", true)).toBeLessThan(900);
  });

  test("counts also for a function that makes a result of it", async () => {
    const { cp, id, directory } = await start();
    const file = join(directory, "pids");
    const functionCallId = await call(cp, id("swallow"), [file]);
    await pids(file);

    await cp.functionCallCancel({ functionCallId });

    expect((await output(cp, functionCallId)).result).toMatchObject({ status: ResultStatus.TERMINATED });
  });

  test("a call that waits, or has no input yet, never runs", async () => {
    const { host, cp, id, directory } = await start({ maxConcurrentCalls: 1 });
    const blocker = await call(cp, id("slow"), [join(directory, "pids"), 60]);
    const ran = join(directory, "ran");
    const queued = await call(cp, id("count"), [ran]);
    const functionId = id("count");
    const { functionCallId: open } = await cp.functionMap({ functionId, functionCallType: 1 });
    expect(
      host
        .stats()
        .calls.list.map(({ status }) => status)
        .toSorted(),
    ).toEqual(["open", "queued", "running"]);

    for (const functionCallId of [queued, open, blocker]) await cp.functionCallCancel({ functionCallId });

    expect((await output(cp, queued)).result).toMatchObject({ status: ResultStatus.TERMINATED });
    await output(cp, blocker);
    const late = cp.functionPutInputs({ functionId, functionCallId: open, inputs: [input([ran])] });
    await expect(late).rejects.toMatchObject({ code: Status.FAILED_PRECONDITION });
    expect(existsSync(ran)).toBe(false);
    expect(host.stats().calls).toMatchObject({ started: 2, cancelled: 3, running: 0 });
  });

  test("a finished call changes nothing", async () => {
    const { cp, id } = await start();
    const functionCallId = await call(cp, id("echo"));
    await value(cp, functionCallId);

    await cp.functionCallCancel({ functionCallId });

    expect(await value(cp, functionCallId)).toEqual([[], {}]);
  });
});
