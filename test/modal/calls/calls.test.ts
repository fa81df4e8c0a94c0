import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { modalCalls } from "../../../src/modal/calls/calls.ts";
import { handlerInImage } from "../../../src/modal/apps/handler.ts";
import { type ModalRuntime, setupModal } from "../../../src/modal/setup-modal.ts";
import { modalVolumes } from "../../../src/modal/volumes/volumes.ts";
import type { CallInput, CallState, Calls, LogLine } from "../../../src/ports/calls.ts";
import { type HostForTests, startHostForTests } from "../../helpers/modal/gpu-host.ts";

/** One function that does what its first argument says. */
const HANDLER = `
import sys, time

def transcribe(what, value=None, **more):
    if what == "echo":
        return {"value": value, **more}
    if what == "types":
        return [type(item).__name__ for item in value]
    if what == "large":
        return "x" * value
    if what == "raise":
        raise ValueError(value)
    if what == "memory":
        raise MemoryError("out of memory")
    if what == "sleep":
        print("sleeping", flush=True)
        time.sleep(value)
        return "slept"
    if what == "print":
        for line in value:
            print(line, flush=True)
        print("to stderr", file=sys.stderr, flush=True)
        return None
    if what == "volume":
        import modal
        volume = modal.Volume.from_id(value)
        return len(b"".join(volume.read_file("in.bin")))

def convert():
    return {"size": 2 ** 40, "fraction": 0.5, "text": "日本", "none": None, "list": [1, [2]]}
`;

const { signal } = new AbortController();

let host: HostForTests;
let calls: Calls;
let runtime: ModalRuntime;
beforeAll(async () => {
  host = await startHostForTests({ maxConcurrentCalls: 4 });
  calls = modalCalls(host.session);
  const localPath = join(host.folder, "handler.py");
  await writeFile(localPath, HANDLER);
  runtime = await setupModal(host.session, {
    image: "docker.io/a/b:1",
    gpus: ["A10G"],
    timeoutSeconds: 5,
    scaledownWindowSeconds: 2,
    handler: { ...handlerInImage("handler"), sources: [{ localPath, remotePath: "/root/handler.py" }] },
  });
});
afterEach(async () => await host.clearFaults());
afterAll(async () => {
  await runtime.close();
  await host[Symbol.asyncDispose]();
});

function asking(what: string, value?: unknown): CallInput {
  return { args: [what, value], kwargs: {} };
}

async function start(input: CallInput, functionId = runtime.transcribe.functionId): Promise<string> {
  const { callId, started } = await calls.open({ functionId, input, signal });
  if (!started) await calls.start({ functionId, callId, input, signal });
  return callId;
}

async function finish(callId: string): Promise<unknown> {
  for (;;) {
    const state: CallState = await calls.poll({ callId, waitMs: 5_000, signal });
    if (state.kind === "succeeded") return state.value;
    if (state.kind === "empty") throw new Error("nothing was put into this call");
  }
}

async function run(input: CallInput, functionId?: string): Promise<unknown> {
  return await finish(await start(input, functionId));
}

describe("a call", () => {
  test("gives its function's value, in types of our own", async () => {
    expect(await run({ args: [], kwargs: {} }, runtime.convert.functionId)).toEqual({
      size: 2 ** 40,
      fraction: 0.5,
      text: "日本",
      none: null,
      list: [1, [2]],
    });
  });

  test("brings positional and keyword arguments in Python's types", async () => {
    const input = {
      args: ["echo", { a: [1, null, "日本"], gone: undefined }],
      kwargs: { model: "base", none: null },
    };
    expect(await run(input)).toEqual({ value: { a: [1, null, "日本"] }, model: "base", none: null });
    const types = [1, 2 ** 33, -(2 ** 33), 1.5, "x", true, null, [], {}];
    expect(await run(asking("types", types))).toEqual([
      "int",
      "int",
      "int",
      "float",
      "str",
      "bool",
      "NoneType",
      "list",
      "dict",
    ]);
  });

  test("finds a file in the volume by its ID", async () => {
    const volumes = modalVolumes(host.session);
    const { volumeId } = await volumes.create({ signal });
    const localPath = join(host.folder, "in.bin");
    await writeFile(localPath, "twelve bytes");
    await volumes.putFile({ volumeId, remotePath: "in.bin", localPath, signal });
    expect(await run(asking("volume", volumeId))).toBe(12);
  });

  test("takes arguments and gives results that are too large to go inline", async () => {
    const large = "y".repeat(3 * 1024 * 1024);
    expect(await run(asking("echo", large))).toEqual({ value: large });
    expect(await run(asking("large", 200_000))).toBe("x".repeat(200_000));
    expect(host.requests.map(({ rpc }) => rpc)).toEqual(expect.arrayContaining(["BlobCreate", "BlobGet"]));
  });

  test("keeps its result for everybody who asks, again and again", async () => {
    const callId = await start(asking("echo", 1));
    expect(await finish(callId)).toEqual({ value: 1 });
    expect(await modalCalls(host.open()).poll({ callId, waitMs: 0, signal })).toMatchObject({
      kind: "succeeded",
      runSeconds: expect.closeTo(0.5, 0),
    });
  });
});

describe("two phases", () => {
  test("an opened call costs nothing, is empty, and can be started by another process", async () => {
    const before = host.host.stats().calls.started;
    const functionId = runtime.transcribe.functionId;
    const input = asking("echo", "later");
    const { callId, started } = await calls.open({ functionId, input, signal });
    expect(started).toBe(false);
    expect(await calls.poll({ callId, waitMs: 0, signal })).toEqual({ kind: "empty" });
    expect(host.host.stats().calls.started).toBe(before);
    const elsewhere = modalCalls(host.open());
    await elsewhere.start({ functionId, callId, input, signal });
    expect(await finish(callId)).toEqual({ value: "later" });
    expect(host.host.stats().calls.started).toBe(before + 1);
  });

  test("where the server refuses a map without input, the input goes with it", async () => {
    await host.fault({ kind: "refuse-empty-map" });
    const before = host.host.stats().calls.started;
    const opened = await calls.open({
      functionId: runtime.transcribe.functionId,
      input: asking("echo", 2),
      signal,
    });
    expect(opened.started).toBe(true);
    expect(await finish(opened.callId)).toEqual({ value: 2 });
    expect(host.host.stats().calls.started).toBe(before + 1);
  });

  test("lost answers and unavailable servers start nothing twice", async () => {
    const before = host.host.stats().calls.started;
    await host.fault({ rpc: "FunctionMap", code: "UNAVAILABLE", lostAnswer: true });
    await host.fault({ rpc: "FunctionPutInputs", code: "UNAVAILABLE", lostAnswer: true });
    await host.fault({ rpc: "FunctionGetOutputs", code: "UNAVAILABLE", times: 2 });
    expect(await run(asking("echo", 3))).toEqual({ value: 3 });
    expect(host.host.stats().calls.started).toBe(before + 1);
  });

  test("a function whose app is gone is APP_LOST", async () => {
    const opening = calls.open({ functionId: "fu-none", input: asking("echo"), signal });
    await expect(opening).rejects.toMatchObject({ code: "APP_LOST" });
  });
});

describe("a call that ends badly has its own code:", () => {
  test("the function raised", async () => {
    const failing = run(asking("raise", "日本 is not a number"));
    await expect(failing).rejects.toMatchObject({ code: "FUNCTION_FAILED" });
    await expect(failing).rejects.toThrow(/ValueError.*日本 is not a number/);
    await expect(failing).rejects.toMatchObject({ cause: { stack: expect.stringContaining("handler.py") } });
  });

  test("memory ran out", async () => {
    await expect(run(asking("memory"))).rejects.toMatchObject({ code: "FUNCTION_OUT_OF_MEMORY" });
  });

  test("it ran longer than its timeout", async () => {
    await expect(run(asking("sleep", 60))).rejects.toMatchObject({ code: "FUNCTION_TIMED_OUT" });
  });

  test("it was cancelled", async () => {
    const callId = await start(asking("sleep", 4));
    await delay(300);
    const cancelledAt = performance.now();
    await calls.cancel({ callId, terminateContainers: true });
    await expect(finish(callId)).rejects.toMatchObject({ code: "FUNCTION_TERMINATED" });
    expect(performance.now() - cancelledAt).toBeLessThan(1_500);
    await calls.cancel({ callId, terminateContainers: true });
  });

  test("the server lost it", async () => {
    const callId = await start(asking("sleep", 4));
    await host.fault({ call: "lose", id: callId });
    await expect(finish(callId)).rejects.toMatchObject({ code: "CALL_LOST", kind: "lost" });
    await calls.cancel({ callId, terminateContainers: false });
  });

  test("the module cannot be imported", async () => {
    const broken = await setupModal(host.session, {
      image: "docker.io/a/b:1",
      gpus: ["A10G"],
      timeoutSeconds: 5,
      scaledownWindowSeconds: 2,
      handler: handlerInImage("no_such_module"),
    });
    await expect(run(asking("echo"), broken.transcribe.functionId)).rejects.toMatchObject({
      code: "FUNCTION_START_FAILED",
    });
    await broken.close();
  });
});

describe("asking for a call", () => {
  test("waits for it as long as it may, and says running", async () => {
    const callId = await start(asking("sleep", 1.5));
    const startedAt = performance.now();
    expect(await calls.poll({ callId, waitMs: 400, signal })).toEqual({ kind: "running" });
    expect(performance.now() - startedAt).toBeGreaterThan(350);
    expect(await calls.poll({ callId, waitMs: 10_000, signal })).toMatchObject({ kind: "succeeded" });
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });
});

describe("the logs of a call", () => {
  test("come as lines with their stream, for this call only, also through broken streams", async () => {
    await host.fault({ stream: "AppGetLogs", cutAfter: 1, times: 2 });
    const other = await start(asking("print", ["not mine"]));
    const callId = await start(asking("print", ["one", "日本", "three"]));
    const controller = new AbortController();
    const lines: LogLine[] = [];
    const { appId } = runtime;
    const following = calls.followLogs({
      appId,
      callId,
      signal: controller.signal,
      onLine: (line) => lines.push(line),
    });
    await finish(callId);
    await finish(other);
    await expect.poll(() => lines.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(4);
    controller.abort();
    await following;
    const of = (stream: LogLine["stream"]): string[] =>
      lines.filter((line) => line.stream === stream).map(({ text }) => text);
    expect(of("stdout")).toEqual(["one", "日本", "three"]);
    expect(of("stderr")).toEqual(["to stderr"]);
  });
});
