import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Status } from "nice-grpc";
import { afterEach, describe, expect, test } from "vitest";
import {
  call,
  connect,
  input,
  isAlive,
  orderFault,
  output,
  register,
  sha256,
  startHost,
  temporaryDirectory,
  undoAll,
  value,
} from "./helpers.ts";

afterEach(undoAll);

const ResultStatus = {
  SUCCESS: 1,
  FAILURE: 2,
  TERMINATED: 3,
  TIMEOUT: 4,
  INIT_FAILURE: 5,
  INTERNAL_FAILURE: 6,
};

const HANDLER = `
import asyncio, json, os, signal, subprocess, sys, time

def echo(*args, **kwargs):
    return [args, kwargs]

def kinds(*args):
    return [repr(value) for value in args]

def count(path):
    with open(path, "a") as file:
        file.write("ran ")
    return "counted"

def slow(path, seconds):
    process = subprocess.Popen(["sleep", str(seconds)])
    with open(path, "w") as file:
        json.dump([os.getpid(), process.pid], file)
    try:
        time.sleep(seconds)
    finally:
        with open(path + ".cleaned", "w") as file:
            file.write("yes")

def stubborn(path):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(path, "w") as file:
        json.dump([os.getpid()], file)
    time.sleep(60)

def background():
    return subprocess.Popen(["sleep", "60"]).pid

def fail():
    raise ValueError("no such luck")

def big(size):
    return "x" * size

def unserializable():
    return object()

def crash(name):
    os.kill(os.getpid(), getattr(signal, name))

def leave(code):
    os._exit(code)

async def later():
    await asyncio.sleep(0)
    return "later"

def environment():
    return dict(os.environ), os.getcwd(), os.listdir(".")
`;

const NAMES = [...HANDLER.matchAll(/^(?:async )?def (\w+)/gm)].map((match) => match[1] ?? "");

async function start(options: Parameters<typeof startHost>[0] & { timeoutSecs?: number } = {}) {
  const dataDir = await temporaryDirectory();
  const host = await startHost({ dataDir, ...options });
  const cp = connect(host);
  const { functions, appId } = await register(cp, HANDLER, NAMES, options);
  const id = (name: string) => functions[name] ?? "";
  return { host, cp, id, appId, dataDir, directory: await temporaryDirectory() };
}

async function pids(file: string): Promise<number[]> {
  await expect.poll(() => existsSync(file) && readFile(file, "utf8"), { timeout: 10_000 }).toBeTruthy();
  return JSON.parse(await readFile(file, "utf8")) as number[];
}

describe("a call in two phases", () => {
  test("opens without running anything, and runs when its input arrives", async () => {
    const { host, cp, id, directory } = await start();
    const functionId = id("count");
    const file = join(directory, "ran");

    const opened = await cp.functionMap({ functionId, functionCallType: 1, functionCallInvocationType: 3 });
    const functionCallId = opened.functionCallId;

    expect(opened.pipelinedInputs).toEqual([]);
    expect(await cp.functionCallFromId({ functionCallId })).toMatchObject({ functionCallId, numInputs: 0 });
    expect(host.stats().calls).toMatchObject({ started: 0, running: 0, list: [{ status: "open" }] });
    const empty = await cp.functionGetOutputs({ functionCallId, timeout: 5, lastEntryId: "0-0" });
    expect(empty).toMatchObject({ outputs: [], numUnfinishedInputs: 0 });
    expect(existsSync(file)).toBe(false);
    await cp.functionPutInputs({ functionId, functionCallId, inputs: [input([file])] });
    expect(await value(cp, functionCallId)).toBe("counted");
    expect(await cp.functionCallFromId({ functionCallId })).toMatchObject({
      numInputs: 1,
      metadata: { functionId },
    });
  });

  test("runs once, however often its input is put", async () => {
    const { host, cp, id, directory } = await start();
    const functionId = id("count");
    const file = join(directory, "ran");
    const functionCallId = await call(cp, functionId, [file]);
    const again = () => cp.functionPutInputs({ functionId, functionCallId, inputs: [input([file])] });

    const answers = await Promise.all([again(), again()]);
    await value(cp, functionCallId);
    const late = await again();

    const ids = new Set([...answers, late].map(({ inputs }) => inputs[0]?.inputId));
    expect(ids.size).toBe(1);
    await sleep(300);
    expect(await readFile(file, "utf8")).toBe("ran ");
    expect(host.stats().calls).toMatchObject({ started: 1, succeeded: 1 });
  });

  test("can also be started at once", async () => {
    const { cp, id } = await start();
    const item = { ...input([1], { b: 2 }), idx: 0 };

    const { functionCallId, pipelinedInputs } = await cp.functionMap({
      functionId: id("echo"),
      functionCallType: 1,
      pipelinedInputs: [item],
    });

    expect(pipelinedInputs).toHaveLength(1);
    expect(await value(cp, functionCallId)).toEqual([[1], { b: 2 }]);
  });

  test("refuses what it cannot do", async () => {
    const { host, cp, id } = await start();
    const functionId = id("echo");
    const map = (request: object) => cp.functionMap({ functionId, functionCallType: 1, ...request });
    const withFormat = (dataFormat: 1 | 2) => ({ idx: 0, input: { args: Buffer.from("x"), dataFormat } });

    await expect(map({ functionCallType: 2 })).rejects.toMatchObject({ code: Status.UNIMPLEMENTED });
    await expect(map({ functionId: "fu-unknown" })).rejects.toMatchObject({ code: Status.NOT_FOUND });
    const refused = { code: Status.INVALID_ARGUMENT };
    await expect(map({ pipelinedInputs: [withFormat(2)] })).rejects.toMatchObject(refused);
    await expect(map({ pipelinedInputs: [input([]), input([])] })).rejects.toMatchObject(refused);
    const { functionCallId } = await map({});
    await expect(cp.functionPutInputs({ functionId, functionCallId })).rejects.toMatchObject(refused);
    await orderFault(host, { kind: "refuse-empty-map" });
    await expect(map({})).rejects.toMatchObject(refused);
    expect(host.stats().calls).toMatchObject({ started: 0, list: [{ id: functionCallId }] });
  });
});

describe("values", () => {
  test("arrive as Modal's containers would have them", async () => {
    const { cp, id } = await start();
    const args = [1, 2 ** 32, 2n ** 40n, -1.5, "é", null, true, Buffer.from("ab"), [1, [2]], { a: { b: 1 } }];

    const kinds = await value(cp, await call(cp, id("kinds"), [...args, undefined]));

    const wide = ["1", "4294967296.0", "1099511627776", "-1.5"];
    const plain = ["'é'", "None", "True", "b'ab'", "[1, [2]]", "{'a': {'b': 1}}", "undefined"];
    expect(kinds).toEqual([...wide, ...plain]);
  });

  test("come back as JavaScript reads CBOR", async () => {
    const { cp, id } = await start();
    const when = new Date("2026-01-02T03:04:05.678Z");
    const args = [
      1,
      2n ** 40n,
      -(2n ** 63n),
      0.5,
      Infinity,
      NaN,
      "日本",
      Buffer.from([0, 255]),
      null,
      when,
      { $map: 1 },
    ];

    const [back, keywords] = (await value(cp, await call(cp, id("echo"), args, { a: [] }))) as [
      unknown[],
      unknown,
    ];

    expect(back.map((item) => (item instanceof Uint8Array ? Buffer.from(item) : item))).toEqual(args);
    expect(keywords).toEqual({ a: [] });
  });

  test("that are big travel as blobs", async () => {
    const { cp, id, dataDir } = await start();
    const functionCallId = await call(cp, id("big"), [100_000]);

    const { result } = await output(cp, functionCallId);

    expect(result.dataBlobId).toMatch(/^bl-/);
    expect(result.data).toBeUndefined();
    expect(await value(cp, functionCallId)).toBe("x".repeat(100_000));
    expect(await readdir(join(dataDir, "blobs"))).toEqual([result.dataBlobId]);
  });

  test("may arrive as blobs", async () => {
    const { cp, id } = await start();
    const { input: inline } = input(["y".repeat(50_000)]);
    const { blobId, uploadUrl } = await cp.blobCreate({ contentLength: inline.args.length });
    const short = await fetch(uploadUrl ?? "", { method: "PUT", body: "short" });
    expect(short.status).toBe(400);
    const body = new Uint8Array(inline.args);
    const wrong = await fetch(uploadUrl ?? "", { method: "PUT", body, headers: { "Content-MD5": "AAAA" } });
    expect(wrong.status).toBe(400);
    await fetch(uploadUrl ?? "", { method: "PUT", body });
    const item = { idx: 0, input: { argsBlobId: blobId, dataFormat: 4 as const } };

    const { functionCallId } = await cp.functionMap({
      functionId: id("echo"),
      functionCallType: 1,
      pipelinedInputs: [item],
    });

    expect(await value(cp, functionCallId)).toEqual([["y".repeat(50_000)], {}]);
    await expect(cp.blobGet({ blobId: "bl-0000" })).rejects.toMatchObject({ code: Status.NOT_FOUND });
    await expect(cp.blobGet({ blobId: "../state/key" })).rejects.toMatchObject({ code: Status.NOT_FOUND });
  });
});

describe("outputs", () => {
  test("stay until a client has them cleared", async () => {
    const { cp, id } = await start();
    const functionCallId = await call(cp, id("echo"));
    const request = { functionCallId, timeout: 20, lastEntryId: "0-0" };
    const first = await cp.functionGetOutputs(request);
    expect(first).toMatchObject({ outputs: [{ result: { status: 1 }, idx: 0, dataFormat: 4 }] });
    expect((await cp.functionGetOutputs(request)).outputs).toEqual(first.outputs);

    const after = await cp.functionGetOutputs({ ...request, lastEntryId: first.lastEntryId });
    expect(after.outputs).toEqual([]);
    expect((await cp.functionGetOutputs({ ...request, startIdx: 1 })).outputs).toEqual([]);
    await cp.functionGetOutputs({ ...request, clearOnSuccess: true });

    expect(await cp.functionGetOutputs(request)).toMatchObject({ outputs: [], numUnfinishedInputs: 0 });
  });

  test("are waited for, up to the time the client gives", async () => {
    const { cp, id, directory } = await start();
    const functionCallId = await call(cp, id("slow"), [join(directory, "pids"), 3]);
    const poll = async (timeout: number) => {
      const before = performance.now();
      const answer = await cp.functionGetOutputs({ functionCallId, timeout, lastEntryId: "0-0" });
      return { ...answer, seconds: (performance.now() - before) / 1000 };
    };

    const atOnce = await poll(0);
    const short = await poll(0.5);
    const long = await poll(30);

    expect(atOnce).toMatchObject({ outputs: [], numUnfinishedInputs: 1 });
    expect(atOnce.seconds).toBeLessThan(0.4);
    expect(short).toMatchObject({ outputs: [], numUnfinishedInputs: 1 });
    expect(short.seconds).toBeGreaterThanOrEqual(0.49);
    expect(long).toMatchObject({ outputs: [{ result: { status: 1 } }], numUnfinishedInputs: 0 });
    expect(long.seconds).toBeLessThan(10);
  });

  test("are asked for with an entry ID and a known call", async () => {
    const { cp, id } = await start();
    const functionCallId = await call(cp, id("echo"));
    const code = (status: Status) => ({ code: status });

    await expect(cp.functionGetOutputs({ functionCallId })).rejects.toMatchObject(
      code(Status.INVALID_ARGUMENT),
    );
    const unknown = { functionCallId: "fc-unknown", lastEntryId: "0-0" };
    await expect(cp.functionGetOutputs(unknown)).rejects.toMatchObject(code(Status.NOT_FOUND));
    await expect(cp.functionCallFromId(unknown)).rejects.toMatchObject(code(Status.NOT_FOUND));
    await expect(cp.functionCallCancel(unknown)).rejects.toMatchObject(code(Status.NOT_FOUND));
  });

  test("are counted by category", async () => {
    const { cp, id } = await start();
    const info = async (name: string, args: unknown[] = []) => {
      const functionCallId = await call(cp, id(name), args);
      await output(cp, functionCallId);
      return (await cp.functionCallGetInfo({ functionId: id(name), functionCallId })).info;
    };

    expect(await info("echo")).toMatchObject({
      totalInputs: 1,
      succeededInputs: { total: 1 },
      failedInputs: { total: 0 },
    });
    expect(await info("fail")).toMatchObject({
      totalInputs: 1,
      succeededInputs: { total: 0 },
      failedInputs: { total: 1 },
    });
  });
});

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

  test("because there is no Python is told apart, too", async () => {
    const { cp, id } = await start({ python: "/nonexistent/python" });

    const { result } = await output(cp, await call(cp, id("echo")));

    expect(result).toMatchObject({ status: ResultStatus.INIT_FAILURE });
    expect(result.exception).toContain("/nonexistent/python");
  });

  test("to come to an end is stopped at its timeout, with all its processes", async () => {
    const { cp, id, directory } = await start({ timeoutSecs: 2 });
    const file = join(directory, "pids");
    const functionCallId = await call(cp, id("slow"), [file, 60]);
    const running = await pids(file);

    const { result } = await output(cp, functionCallId);

    expect(result).toMatchObject({ status: ResultStatus.TIMEOUT });
    expect(running.filter(isAlive)).toEqual([]);
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
    expect(running.filter(isAlive)).toEqual([]);
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
      expect(running.filter(isAlive)).toEqual([]);
      return performance.now() - before;
    };

    expect(await stop("asked", false)).toBeGreaterThan(900);
    expect(await stop("killed", true)).toBeLessThan(900);
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

describe("running", () => {
  test("calls beyond the limit wait for their turn", async () => {
    const { host, cp, id, directory } = await start({ maxConcurrentCalls: 2 });
    const ids = [];
    for (const name of ["a", "b", "c"]) ids.push(await call(cp, id("slow"), [join(directory, name), 1]));
    await pids(join(directory, "a"));
    await pids(join(directory, "b"));

    const list = host.stats().calls.list.map(({ status }) => status);
    expect(list).toEqual(["running", "running", "queued"]);
    for (const functionCallId of ids) await output(cp, functionCallId);
    expect(host.stats().calls).toMatchObject({ succeeded: 3, running: 0 });
  });

  test("coroutines are awaited", async () => {
    const { cp, id } = await start();

    expect(await value(cp, await call(cp, id("later")))).toBe("later");
  });

  test("a function sees no secret of ours, and works in a directory that goes away", async () => {
    const { cp, id, dataDir } = await start();
    const before = { ...process.env };
    Object.assign(process.env, {
      MODAL_TOKEN_SECRET: "s",
      MIRUMOJI_API_TOKEN: "s",
      OTHER: "s",
      MIRUMOJI_X: "x",
    });
    const answer = await value(cp, await call(cp, id("environment"))).finally(() => (process.env = before));

    const [environment, directory, files] = answer as [Record<string, string>, string, string[]];
    expect(Object.values(environment)).not.toContain("s");
    expect(environment).toMatchObject({ MIRUMOJI_X: "x", HOME: process.env["HOME"] });
    expect(files).toEqual([]);
    expect(directory.startsWith(join(dataDir, "scratch"))).toBe(true);
    await expect.poll(() => existsSync(directory)).toBe(false);
  });

  test("nothing that a function left in the background goes on", async () => {
    const { cp, id } = await start();

    const pid = (await value(cp, await call(cp, id("background")))) as number;

    expect(isAlive(pid)).toBe(false);
  });

  test("closing the host leaves no process", async () => {
    const { host, cp, id, directory } = await start();
    const file = join(directory, "pids");
    await call(cp, id("slow"), [file, 60]);
    const running = await pids(file);

    await host.close();

    expect(running.filter(isAlive)).toEqual([]);
  });

  test("a function that is registered anew runs its new code", async () => {
    const { cp, id, appId } = await start();
    const old = id("later");
    const data = Buffer.from("def later():\n    return 'new'\n");
    const sha256Hex = sha256(data).toString("hex");
    await cp.mountPutFile({ sha256Hex, data });
    const files = [{ filename: "/root/pkg/handler.py", sha256Hex }];
    const { mountId } = await cp.mountGetOrCreate({ objectCreationType: 4, appId, files });
    const image = { dockerfileCommands: ["FROM example/image:1"] };
    const { imageId } = await cp.imageGetOrCreate({ appId, image, builderVersion: "2025.06" });

    await cp.functionCreate({
      appId,
      existingFunctionId: old,
      function: {
        moduleName: "pkg.handler",
        functionName: "later",
        functionType: 2,
        definitionType: 2,
        imageId,
        mountIds: [mountId],
        supportedInputFormats: [4],
        supportedOutputFormats: [4],
      },
    });

    expect(await value(cp, await call(cp, old))).toBe("new");
  });
});

test("a handler reads and writes its volume through the stand-in for Modal's package", async () => {
  const { host, cp, dataDir } = await start();
  const source = `
import io, modal

def work(vol_fp, vol_id):
    volume = modal.Volume.from_id(vol_id)
    def error(action):
        try:
            action()
        except BaseException as error:
            return type(error).__name__
    def put(path, force):
        with volume.batch_upload(force=force) as batch:
            batch.put_file(io.BytesIO(b"second"), path)
    with volume.batch_upload() as batch:
        batch.put_file(io.BytesIO(b"first"), "/out/a")
        batch.put_file(__file__, "out/b")
    errors = [
        error(lambda: put("out/a", False)),
        error(lambda: volume.listdir("../..")),
        error(lambda: put("../outside", True)),
        error(lambda: list(volume.read_file("nothing"))),
        error(lambda: modal.Volume.from_id("vo-unknown").listdir("/")),
        error(lambda: modal.Volume.from_id("vo-x/../../..").listdir("/")),
    ]
    put("out/a", True)
    buffer = io.BytesIO()
    size = volume.read_file_into_fileobj("out/a", buffer)
    volume.remove_file("out/b")
    return [errors, size, buffer.getvalue(), [entry.path for entry in volume.listdir("/", recursive=True)]]
`;
  const { functions } = await register(cp, source, ["work"]);
  const { volumeId } = await cp.volumeGetOrCreate({ objectCreationType: 5, version: 2 });
  await writeFile(join(dataDir, "volumes", volumeId, "files", "in"), "input");

  const result = await value(cp, await call(cp, functions["work"] ?? "", ["in"], { vol_id: volumeId }));

  expect(result).toEqual([
    [
      "FileExistsError",
      "InvalidError",
      "InvalidError",
      "FileNotFoundError",
      "NotFoundError",
      "NotFoundError",
    ],
    6,
    Buffer.from("second"),
    ["in", "out", "out/a"],
  ]);
  expect(host.stats().calls.list.at(-1)).toMatchObject({ function: "work", volumeId, path: "in" });
});
