import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Status } from "nice-grpc";
import { afterEach, describe, expect, test } from "vitest";
import { startWithHandler as start } from "../helpers/gpu-host/calls.ts";
import { call, input, orderFault, output, undoAll, value } from "../helpers/gpu-host/host.ts";

afterEach(undoAll);

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

    await expect(map({ functionCallType: 3 as 1 })).rejects.toMatchObject({ code: Status.UNIMPLEMENTED });
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
