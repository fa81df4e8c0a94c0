import { Status } from "nice-grpc";
import { afterEach, describe, expect, test } from "vitest";
import {
  call,
  connect,
  type ControlPlane,
  orderFault,
  output,
  register,
  sha256,
  startHost,
  undoAll,
  value,
} from "../helpers/gpu-host/host.ts";

afterEach(undoAll);

const AppState = { EPHEMERAL: 1, DETACHED: 2, DEPLOYED: 3, STOPPED: 5, INITIALIZING: 6 } as const;

const HANDLER = `
import sys, time

def echo(*args):
    return args

def wait():
    time.sleep(60)

def talk():
    print("to stdout")
    print("to stderr", file=sys.stderr)
    print("half a line", end="")

def slow_talk():
    print("before", flush=True)
    time.sleep(2)
    print("after", flush=True)
`;

async function appState(cp: ControlPlane, appId: string): Promise<number | undefined> {
  return (await cp.appGetLifecycle({ appId })).lifecycle?.appState;
}

describe("an ephemeral app", () => {
  test("is stopped with its calls when nobody keeps it alive", async () => {
    let time = Date.now();
    const host = await startHost({ now: () => time, appTtlMs: 60_000 });
    const cp = connect(host);
    const { appId, functions } = await register(cp, HANDLER, ["wait", "echo"]);
    const functionCallId = await call(cp, functions["wait"] ?? "");
    time += 59_000;
    await cp.appHeartbeat({ appId });
    time += 59_000;
    expect(await appState(cp, appId)).toBe(AppState.EPHEMERAL);
    expect(host.stats().apps).toEqual({ live: 1, created: 1 });
    time += 2_000;

    expect(await appState(cp, appId)).toBe(AppState.STOPPED);
    const refused = { code: Status.FAILED_PRECONDITION };
    await expect(cp.appHeartbeat({ appId })).rejects.toMatchObject(refused);
    await expect(call(cp, functions["echo"] ?? "")).rejects.toMatchObject(refused);
    expect((await output(cp, functionCallId)).result).toMatchObject({ status: 3 });
    expect(host.stats().apps).toEqual({ live: 0, created: 1 });
  });

  test("goes with its client, and a heartbeat for an unknown one says so", async () => {
    const cp = connect(await startHost());
    const { appId } = await register(cp, HANDLER, ["echo"]);

    await cp.appClientDisconnect({ appId, reason: 3 });

    expect(await appState(cp, appId)).toBe(AppState.STOPPED);
    await expect(cp.appHeartbeat({ appId: "ap-unknown" })).rejects.toMatchObject({ code: Status.NOT_FOUND });
  });
});

describe("a deployed app", () => {
  test("is found by its name, survives its client, and is stopped on request", async () => {
    let time = Date.now();
    const cp = connect(await startHost({ now: () => time, appTtlMs: 60_000 }));
    expect((await cp.appGetByDeploymentName({ name: "test-app" })).appId).toBe("");
    const named = { appName: "test-app", objectTag: "echo" };
    await expect(cp.functionGet(named)).rejects.toMatchObject({ code: Status.NOT_FOUND });

    const { appId, functions } = await register(cp, HANDLER, ["echo"], { appState: AppState.DEPLOYED });
    await cp.appClientDisconnect({ appId });
    time += 50 * 60_000;

    expect((await cp.appGetByDeploymentName({ name: "test-app" })).appId).toBe(appId);
    expect((await cp.appGetOrCreate({ appName: "test-app" })).appId).toBe(appId);
    const found = await cp.functionGet(named);
    expect(found).toMatchObject({
      functionId: functions["echo"],
      handleMetadata: { functionName: "echo", appId },
    });
    expect(found.handleMetadata?.supportedInputFormats).toEqual([1, 4]);
    await expect(cp.functionGet({ ...named, environmentName: "other" })).rejects.toThrow("not found");
    expect(await value(cp, await call(cp, found.functionId, [1]))).toEqual([1]);
    await cp.appStop({ appId });
    expect((await cp.appGetByDeploymentName({ name: "test-app" })).appId).toBe("");
  });

  test("is made by name only when that is asked for", async () => {
    const cp = connect(await startHost());

    await expect(cp.appGetOrCreate({ appName: "new" })).rejects.toMatchObject({ code: Status.NOT_FOUND });
    const { appId } = await cp.appGetOrCreate({ appName: "new", objectCreationType: 1 });
    expect((await cp.appGetOrCreate({ appName: "new", objectCreationType: 1 })).appId).toBe(appId);
  });
});

describe("registration", () => {
  test("tells what an app is made of", async () => {
    const cp = connect(await startHost());
    const { appId, functions } = await register(cp, HANDLER, ["echo", "talk"]);

    const { appLayout } = await cp.appGetLayout({ appId });

    expect(appLayout?.functionIds).toEqual(functions);
    const objects = appLayout?.objects.map(({ objectId, functionHandleMetadata }) => {
      return [objectId, functionHandleMetadata?.functionName];
    });
    expect(objects).toEqual([
      [functions["echo"], "echo"],
      [functions["talk"], "talk"],
    ]);
  });

  test("refuses what would be silently ignored", async () => {
    const cp = connect(await startHost());
    const { appId, functions } = await register(cp, HANDLER, ["echo"]);
    const create = (changes: object) =>
      cp.functionCreate({
        appId,
        existingFunctionId: functions["echo"] ?? "",
        function: {
          functionName: "echo",
          definitionType: 2,
          functionType: 2,
          imageId: "im-unknown",
          ...changes,
        },
      });
    const unimplemented = { code: Status.UNIMPLEMENTED };

    await expect(create({ definitionType: 1 })).rejects.toMatchObject(unimplemented);
    await expect(create({ functionType: 1 })).rejects.toMatchObject(unimplemented);
    await expect(create({ secretIds: ["st-1"] })).rejects.toMatchObject(unimplemented);
    const { volumeId } = await cp.volumeGetOrCreate({
      deploymentName: "models",
      objectCreationType: 1,
      version: 2,
    });
    const mounted = { volumeId, mountPath: "/models" };
    for (const limit of [{ readOnly: true }, { subPath: "a" }])
      await expect(create({ volumeMounts: [{ ...mounted, ...limit }] })).rejects.toMatchObject(unimplemented);
    const unknown = create({ volumeMounts: [{ ...mounted, volumeId: "vo-1" }] });
    await expect(unknown).rejects.toMatchObject({ code: Status.NOT_FOUND });
    await expect(create({ retryPolicy: { retries: 2 } })).rejects.toMatchObject(unimplemented);
    await expect(create({})).rejects.toMatchObject({ code: Status.NOT_FOUND });
    const stranger = cp.appPublish({ appId, appState: 1, functionIds: { x: "fu-unknown" } });
    await expect(stranger).rejects.toMatchObject({ code: Status.NOT_FOUND });
  });

  test("knows the client mount, what was uploaded, and nothing else", async () => {
    const cp = connect(await startHost());
    const { appId } = await cp.appCreate({ description: "test", appState: 1 });
    const known = Buffer.from("known");
    const [knownHex, otherHex] = [known, Buffer.from("other")].map((data) => sha256(data).toString("hex"));
    await cp.mountPutFile({ sha256Hex: knownHex ?? "", data: known });

    const asked = { sha256HexHashes: [knownHex ?? "", otherHex ?? ""] };
    const { missingSha256HexHashes } = await cp.mountBatchedCheckExistence(asked);
    expect(missingSha256HexHashes).toEqual([otherHex]);
    const missing = {
      objectCreationType: 4 as const,
      appId,
      files: [{ filename: "/root/a.py", sha256Hex: otherHex ?? "" }],
    };
    await expect(cp.mountGetOrCreate(missing)).rejects.toMatchObject({ code: Status.FAILED_PRECONDITION });
    const outside = { ...missing, files: [{ filename: "/root/../../a.py", sha256Hex: knownHex ?? "" }] };
    await expect(cp.mountGetOrCreate(outside)).rejects.toMatchObject({ code: Status.INVALID_ARGUMENT });
    const unknown = cp.mountGetOrCreate({ deploymentName: "modal-client-mount-0.0.1", namespace: 3 });
    await expect(unknown).rejects.toMatchObject({ code: Status.NOT_FOUND });
  });

  test("publishes a function that has no files of its own, as one in an image", async () => {
    const cp = connect(await startHost());
    const { appId } = await cp.appCreate({ description: "test", appState: 1 });
    const { imageId } = await cp.imageGetOrCreate({
      appId,
      image: { dockerfileCommands: ["FROM example/image:1"] },
      builderVersion: "2025.06",
    });
    const named = { functionName: "echo", functionType: 2 as const };
    const { functionId } = await cp.functionPrecreate({ appId, ...named });
    await cp.functionCreate({
      appId,
      existingFunctionId: functionId,
      function: { ...named, moduleName: "theirs", definitionType: 2, imageId, timeoutSecs: 60 },
    });

    await cp.appPublish({ appId, appState: 3, functionIds: { echo: functionId } });

    expect(await appState(cp, appId)).toBe(AppState.DEPLOYED);
  });

  test("builds an image with a log, once", async () => {
    const cp = connect(await startHost());
    const { appId } = await cp.appCreate({ description: "test", appState: 1 });
    const get = async (command: string) =>
      await cp.imageGetOrCreate({
        appId,
        image: { dockerfileCommands: [command] },
        builderVersion: "2025.06",
      });
    const { imageId, result } = await get("FROM example/image:1");
    expect(result).toBeUndefined();

    const messages = [];
    for await (const message of cp.imageJoinStreaming({ imageId, timeout: 5 })) messages.push(message);

    expect(messages.flatMap(({ taskLogs }) => taskLogs.map(({ data }) => data)).join("")).toContain(
      "example/image:1",
    );
    expect(messages.at(-1)).toMatchObject({
      result: { status: 1 },
      metadata: { imageBuilderVersion: "2025.06" },
    });
    expect(await get("FROM example/image:1")).toMatchObject({ imageId, result: { status: 1 } });
    expect((await get("FROM example/image:2")).imageId).not.toBe(imageId);
    await expect(get("RUN rm -rf /")).rejects.toMatchObject({ code: Status.UNIMPLEMENTED });
  });

  test("can be made to meet an image that does not build", async () => {
    const host = await startHost();
    const cp = connect(host);
    const { appId } = await cp.appCreate({ description: "test", appState: 1 });
    const image = { dockerfileCommands: ["FROM example/image:1"] };
    const { imageId } = await cp.imageGetOrCreate({ appId, image, builderVersion: "2025.06" });
    await orderFault(host, { image: "fail", message: "no such image" });

    const messages = [];
    for await (const message of cp.imageJoinStreaming({ imageId, timeout: 5 })) messages.push(message);

    expect(messages.at(-1)?.result).toMatchObject({ status: 2, exception: "no such image" });
  });
});

describe("logs", () => {
  async function follow(cp: ControlPlane, request: Parameters<ControlPlane["appGetLogs"]>[0], until: string) {
    const entries = [];
    for await (const batch of cp.appGetLogs({ timeout: 20, ...request })) {
      for (const item of batch.items) {
        if (item.data !== "")
          entries.push({ id: batch.entryId, text: item.data, fd: item.fileDescriptor, item });
        if (item.data.includes(until)) return entries;
      }
    }
    return entries;
  }

  test("carry each line of a call with its origin, and go on after a known entry", async () => {
    const cp = connect(await startHost());
    const { appId, functions } = await register(cp, HANDLER, ["talk"]);
    await call(cp, functions["talk"] ?? "");
    const functionCallId = await call(cp, functions["talk"] ?? "");
    await output(cp, functionCallId);

    const entries = await follow(cp, { appId, functionCallId }, "half a line");

    const lines = entries.map(({ text, fd }) => `${fd} ${text.trim()}`).toSorted();
    expect(lines).toEqual(["1 half a line", "1 to stdout", "2 to stderr"]);
    for (const { item } of entries) expect(item).toMatchObject({ functionCallId });
    expect(Math.abs((entries[0]?.item.timestamp ?? 0) * 1000 - Date.now())).toBeLessThan(60_000);
    const rest = await follow(
      cp,
      { appId, functionCallId, lastEntryId: entries[0]?.id ?? "" },
      "half a line",
    );
    expect(rest.map(({ id }) => id)).toEqual(entries.slice(1).map(({ id }) => id));
  });

  test("arrive while the function runs", async () => {
    const cp = connect(await startHost());
    const { appId, functions } = await register(cp, HANDLER, ["slow_talk"]);
    const functionCallId = await call(cp, functions["slow_talk"] ?? "");

    await follow(cp, { appId, functionCallId }, "before");

    const { outputs } = await cp.functionGetOutputs({ functionCallId, lastEntryId: "0-0", timeout: 0 });
    expect(outputs).toEqual([]);
    const entries = await follow(cp, { appId, functionCallId }, "after");
    expect(entries.map(({ text }) => text)).toEqual(["before\n", "after\n"]);
  });

  test("end at the time the client gives, and with the app", async () => {
    const cp = connect(await startHost());
    const { appId } = await register(cp, HANDLER, ["talk"]);
    const before = performance.now();

    expect(await follow(cp, { appId, timeout: 0.5 }, "never")).toEqual([]);
    expect(performance.now() - before).toBeGreaterThan(450);
    await cp.appStop({ appId });
    const batches = [];
    for await (const batch of cp.appGetLogs({ appId, timeout: 20 })) batches.push(batch);

    expect(batches.at(-1)).toMatchObject({ appDone: true });
    expect(performance.now() - before).toBeLessThan(10_000);
  });
});
