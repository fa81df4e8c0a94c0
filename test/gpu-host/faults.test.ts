import { Status } from "nice-grpc";
import { afterEach, describe, expect, test } from "vitest";
import {
  call,
  connect,
  getFile,
  newVolume,
  orderFault,
  putFile,
  putRequest,
  register,
  startHost,
  undoAll,
  value,
} from "../helpers/gpu-host/host.ts";

afterEach(undoAll);

const once = { retries: 0 };

describe("RPCs", () => {
  test("fail as often as ordered, and the SDK gets over it", async () => {
    const host = await startHost();
    const cp = connect(host);
    await orderFault(host, { rpc: "VolumeList", code: "UNAVAILABLE", times: 2 });

    await expect(cp.volumeList({}, once)).rejects.toMatchObject({ code: Status.UNAVAILABLE });
    await expect(cp.volumeList({}, once)).rejects.toMatchObject({ code: Status.UNAVAILABLE });
    await cp.volumeList({}, once);
    await orderFault(host, { rpc: "VolumeList", code: "UNAVAILABLE", times: 2 });
    await cp.volumeList({});
  });

  test("that are throttled tell how long to wait, and the SDK waits", async () => {
    const host = await startHost();
    const cp = connect(host);
    await cp.volumeList({});
    await orderFault(host, { rpc: "VolumeList", retryAfterSecs: 1, times: 1 });
    const before = performance.now();

    await cp.volumeList({});

    expect(performance.now() - before).toBeGreaterThan(950);
    await orderFault(host, { rpc: "VolumeList", retryAfterSecs: 1 });
    await expect(cp.volumeList({}, once)).rejects.toMatchObject({ code: Status.RESOURCE_EXHAUSTED });
  });

  test("are slow until the faults are cleared", async () => {
    const host = await startHost();
    const cp = connect(host);
    await cp.volumeList({});
    await orderFault(host, { latencyMs: 300, rpc: "volumeList" });
    const seconds = async () => {
      const before = performance.now();
      await cp.volumeList({});
      return performance.now() - before;
    };

    expect(await seconds()).toBeGreaterThan(290);
    expect((await fetch(host.adminUrl, { method: "DELETE" })).status).toBe(200);
    expect(await seconds()).toBeLessThan(290);
  });

  test("that stream are cut after some messages", async () => {
    const host = await startHost();
    const cp = connect(host);
    const { appId } = await cp.appCreate({ description: "test", appState: 1 });
    const image = { dockerfileCommands: ["FROM example/image:1"] };
    const { imageId } = await cp.imageGetOrCreate({ appId, image });
    await orderFault(host, { stream: "ImageJoinStreaming", cutAfter: 1 });
    const received: unknown[] = [];
    const join = async () => {
      for await (const message of cp.imageJoinStreaming({ imageId, timeout: 5 })) received.push(message);
    };

    await expect(join()).rejects.toMatchObject({ code: Status.UNAVAILABLE });
    expect(received).toHaveLength(1);
    await join();
    expect(received).toHaveLength(4);
  });
});

describe("blocks", () => {
  async function upload(fault: "403" | "500" | "503" | "wrong-bytes" | "short" | "drop") {
    const host = await startHost();
    const cp = connect(host);
    const volumeId = await newVolume(cp);
    // Trailing zeros would reveal leftovers of a broken attempt.
    const data = Buffer.concat([Buffer.alloc(300_000, 7), Buffer.alloc(200_000)]);
    const { missingBlocks } = await cp.volumePutFiles2(putRequest(volumeId, "file", data));
    await orderFault(host, { block: "PUT", behaviour: fault });
    const body = data.subarray(0, 300_000);
    const outcome = await fetch(missingBlocks[0]?.putUrl ?? "", { method: "PUT", body }).then(
      ({ status }) => status,
      () => "broken" as const,
    );
    expect((await cp.volumePutFiles2(putRequest(volumeId, "file", data))).missingBlocks).toHaveLength(1);
    await putFile(cp, volumeId, "file", data);
    expect((await getFile(cp, volumeId, "file")).equals(data)).toBe(true);
    return outcome;
  }

  async function download(fault: "403" | "500" | "503" | "wrong-bytes" | "short" | "drop") {
    const host = await startHost();
    const cp = connect(host);
    const volumeId = await newVolume(cp);
    const data = Buffer.from("what is in the file");
    await putFile(cp, volumeId, "file", data);
    await orderFault(host, { block: "GET", behaviour: fault });
    const received = await getFile(cp, volumeId, "file").then(String, (error: unknown) => String(error));
    expect((await getFile(cp, volumeId, "file")).equals(data)).toBe(true);
    return received;
  }

  test("are refused, damaged or lost on their way up", async () => {
    expect(await upload("403")).toBe(403);
    expect(await upload("500")).toBe(500);
    expect(await upload("503")).toBe(503);
    expect(await upload("wrong-bytes")).toBe(400);
    expect(await upload("short")).toBe("broken");
    expect(await upload("drop")).toBe("broken");
  });

  test("are refused, damaged or lost on their way down", async () => {
    expect(await download("403")).toContain("403");
    expect(await download("500")).toContain("500");
    expect(await download("503")).toContain("503");
    expect(await download("wrong-bytes")).toMatch(/^.hat is in the file$/u);
    expect(await download("short")).toBe("what is i");
    expect(await download("drop")).toContain("fetch failed");
  });
});

describe("things", () => {
  test("vanish: a volume, an app, a call", async () => {
    const host = await startHost();
    const cp = connect(host);
    const { appId, functions } = await register(cp, "def echo():\n    return 1\n", ["echo"]);
    const functionCallId = await call(cp, functions["echo"] ?? "");
    await value(cp, functionCallId);
    const volumeId = await newVolume(cp);

    await orderFault(host, { volume: "vanish", id: volumeId });
    await orderFault(host, { call: "lose", id: functionCallId });
    await orderFault(host, { app: "vanish", id: appId });

    const gone = { code: Status.NOT_FOUND };
    await expect(cp.volumeHeartbeat({ volumeId })).rejects.toMatchObject(gone);
    await expect(cp.functionCallFromId({ functionCallId })).rejects.toMatchObject(gone);
    await expect(cp.appHeartbeat({ appId })).rejects.toMatchObject({ code: Status.FAILED_PRECONDITION });
    await expect(orderFault(host, { volume: "vanish", id: volumeId })).rejects.toThrow("404");
  });

  test("can only be ordered where that is allowed, with the token, and spelled right", async () => {
    const allowed = await startHost();
    const forbidden = await startHost({ adminFaults: false });
    const body = JSON.stringify({ rpc: "VolumeList", code: "UNAVAILABLE" });
    const status = async (url: string, text = body) =>
      (await fetch(url, { method: "POST", body: text })).status;

    expect(await status(allowed.adminUrl)).toBe(200);
    expect(await status(forbidden.adminUrl)).toBe(404);
    expect(await status(allowed.adminUrl.replace(/token=.*/, "token=wrong"))).toBe(401);
    expect(await status(allowed.adminUrl, JSON.stringify({ rpc: "VolumeList", code: "TYPO" }))).toBe(400);
    expect(await status(allowed.adminUrl, "{")).toBe(400);
  });
});
