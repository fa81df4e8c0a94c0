import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runCanary } from "../../../src/modal/canary/canary.ts";
import type { CanaryRun, StepReport } from "../../../src/modal/canary/step.ts";
import { secondsUntilExpiry, urlLifetimeSeconds } from "../../../src/modal/canary/url-lifetime.ts";
import { VOLUME_STEPS } from "../../../src/modal/canary/volume-steps.ts";
import type { Fault } from "../../../src/gpu-host/faults.ts";
import { createFunction } from "../../../src/modal/apps/functions.ts";
import { type HostForTests, startHostForTests } from "../../helpers/modal/gpu-host.ts";
import { startHttpStore } from "../../helpers/modal/http-store.ts";
import { scriptedSession } from "../../helpers/modal/scripted-session.ts";

const handlerPath = fileURLToPath(new URL("../../../container/canary.py", import.meta.url));

let host: HostForTests;
beforeEach(async () => {
  host = await startHostForTests();
});
afterEach(async () => await host[Symbol.asyncDispose]());

async function check(
  options: {
    callWaitMs?: number;
    signal?: AbortSignal;
    handler?: string;
    onStep?: (step: StepReport) => void;
  } = {},
) {
  const seen: StepReport[] = [];
  const { signal } = new AbortController();
  const report = await runCanary(
    {
      session: host.session,
      image: "example/python:3",
      handlerPath: options.handler ?? handlerPath,
      callWaitMs: options.callWaitMs ?? 30_000,
      signal: options.signal ?? signal,
    },
    (step) => {
      seen.push(step);
      options.onStep?.(step);
    },
  );
  expect(seen).toEqual(report.steps);
  const step = (name: string): StepReport => {
    const found = report.steps.find((one) => one.name === name);
    if (found === undefined) throw new Error(`no step ${name}`);
    return found;
  };
  const failed = report.steps.filter(({ status }) => status === "failed").map(({ name }) => name);
  return { ...report, step, failed };
}

/** The server has nothing left of the canary; a stopped function may take a second to tidy up. */
async function expectNothingLeft(): Promise<void> {
  expect(host.host.stats()).toMatchObject({ volumes: { live: 0 }, apps: { live: 0 } });
  await expect.poll(() => host.host.stats().calls.running, { timeout: 5_000 }).toBe(0);
}

const once = (rpc: string, code = "PERMISSION_DENIED", times = 1): Fault => ({ rpc, code, times });

describe("the canary", { timeout: 90_000 }, () => {
  test("walks the whole path, says what it learnt and leaves nothing", async () => {
    const { ok, steps, step } = await check();
    expect(steps.filter(({ error }) => error !== null)).toEqual([]);
    expect(ok).toBe(true);
    expect(steps.map(({ name }) => name)).toEqual([
      "hello",
      "environment",
      "app",
      "client mount",
      "image",
      "functions",
      "volume",
      "put",
      "put in parts",
      "get",
      "unknown volume",
      "call",
      "cancel",
      "delete volume",
      "end app",
    ]);
    expect(step("hello").learnt).toMatchObject({ "client type accepted": "8 (JavaScript)" });
    expect(step("hello").learnt["session token lives, s"]).toBeGreaterThan(3500);
    expect(step("environment").learnt).toMatchObject({
      environment: "main",
      "image builder used": "2025.06",
      "client mount used": "1.5.4",
    });
    expect(step("put").learnt).toMatchObject({ bytes: 69_632, "bytes sent": 65_536 });
    expect(step("put").learnt["put URL lives, s"]).toMatch(/not visible \(127\.0\.0\.1:\d+\)/);
    expect(step("get").learnt).toMatchObject({ "same bytes": true });
    expect(step("unknown volume").learnt).toEqual({ "VolumeDelete of an unknown ID": "NOT_FOUND" });
    expect(step("call").learnt).toMatchObject({ "empty FunctionMap": "accepted", "volume read there": true });
    expect(step("cancel").learnt["ended after cancel, ms"]).toBeLessThan(5_000);
    expect(step("end app").learnt).toMatchObject({
      "heartbeats failed": 0,
      "a heartbeat after the end": "APP_LOST",
    });
    await expectNothingLeft();
    expect(host.host.stats()).toMatchObject({
      volumes: { created: 1, deleted: 1 },
      calls: { started: 2, succeeded: 1, cancelled: 1 },
    });
  });

  test("notices that a server refuses a map without input, and uses the fallback", async () => {
    await host.fault({ kind: "refuse-empty-map" });
    const { ok, step } = await check();
    expect(ok).toBe(true);
    expect(step("call").learnt).toMatchObject({
      "empty FunctionMap": "refused (INVALID_ARGUMENT), the fallback was used",
    });
    await expectNothingLeft();
  });

  test.each<[string, string, Fault[]]>([
    ["hello", "MODAL_UNAUTHENTICATED", [once("ClientHello")]],
    ["environment", "MODAL_REFUSED", [once("EnvironmentGetOrCreate", "NOT_FOUND")]],
    ["app", "MODAL_THROTTLED", [once("AppCreate", "RESOURCE_EXHAUSTED")]],
    ["client mount", "MODAL_REFUSED", [once("MountGetOrCreate", "NOT_FOUND")]],
    ["image", "IMAGE_BUILD_FAILED", [{ image: "fail", message: "no such image" }]],
    ["functions", "MODAL_REFUSED", [once("FunctionCreate", "INVALID_ARGUMENT")]],
    ["functions", "APP_LOST", [once("AppPublish", "FAILED_PRECONDITION")]],
    ["volume", "MODAL_UNAUTHENTICATED", [once("VolumeGetOrCreate")]],
    ["volume", "VOLUME_LOST", [once("VolumeHeartbeat", "NOT_FOUND")]],
    ["put", "MODAL_REFUSED", [once("VolumePutFiles2", "INVALID_ARGUMENT")]],
    ["get", "MODAL_UNAUTHENTICATED", [once("VolumeGetFile2")]],
    ["unknown volume", "MODAL_UNAVAILABLE", [once("VolumeDelete", "UNAVAILABLE", 4)]],
    ["call", "MODAL_UNAUTHENTICATED", [once("FunctionMap", "PERMISSION_DENIED", 2)]],
    ["call", "MODAL_REFUSED", [once("FunctionPutInputs", "INVALID_ARGUMENT")]],
    ["cancel", "MODAL_UNAUTHENTICATED", [once("FunctionCallCancel")]],
  ])("tells that %s failed, with %s, and cleans up", async (name, code, faults) => {
    for (const fault of faults) await host.fault(fault);
    const { ok, failed, step, steps } = await check();
    expect(ok).toBe(false);
    expect(failed).toEqual([name]);
    expect(step(name).error).toMatchObject({ code });
    expect(step(name).error?.message).toMatch(/\w{3}/);
    const after = steps.slice(steps.indexOf(step(name)) + 1, -2);
    expect(after.every(({ status }) => status === "skipped")).toBe(true);
    await expectNothingLeft();
  });

  test("insists on cleaning up, and says what is left when it cannot", async () => {
    await host.fault(once("VolumeDelete", "FAILED_PRECONDITION", 2));
    expect((await check()).failed).toEqual([]);
    await expectNothingLeft();

    await host.fault(once("VolumeDelete", "FAILED_PRECONDITION", 50));
    const { failed, step } = await check();
    expect(failed).toEqual(["delete volume"]);
    expect(step("delete volume").error?.message).toMatch(/^volume vo-\w+ could not be deleted; it expires/);
    expect(host.host.stats()).toMatchObject({ apps: { live: 0 }, volumes: { live: 1 } });
  });

  test("compares the bytes that come back", async () => {
    let volumeId = "";
    const { failed, step } = await check({
      onStep: ({ name, learnt }) => {
        if (name === "volume") volumeId = String(learnt["volume"]);
        // Between the two steps the server changes what it was given.
        const file = join(host.folder, "host", "volumes", volumeId, "files", "canary", "file");
        if (name === "put") writeFileSync(file, Buffer.alloc(69_632, 1));
      },
    });
    expect(failed).toEqual(["get"]);
    expect(step("get").error).toMatchObject({ code: "TRANSFER_CORRUPT" });
    await expectNothingLeft();
  });

  test("notices a server for which the proofs of parts do not count in the whole file", async () => {
    await using store = await startHttpStore((_, response) => response.end("proof"));
    let timesNamed = 0;
    const session = scriptedSession({
      volumePutFiles2: async ({ files }: { readonly files: readonly { blocks: readonly object[] }[] }) => {
        const blocks = files[0]?.blocks ?? [];
        const isDone = blocks.length === 20 && ++timesNamed > 1;
        return {
          missingBlocks: isDone
            ? []
            : blocks.map((_, blockIndex) => ({ fileIndex: 0, blockIndex, putUrl: store.url })),
        };
      },
      volumeListFiles2: async function* () {
        yield { entries: [{ path: "canary/parts", type: 1, size: 20 * 8 * 2 ** 20 - (8 * 2 ** 20 - 16) }] };
      },
    });
    const heartbeats = { answered: 0, failed: 0, stop: () => undefined };
    const { signal } = new AbortController();
    const options = { image: "", handlerPath, callWaitMs: 1, signal };
    const run: CanaryRun = { session, ...options, heartbeats, volumeId: "vo-1" };
    const step = VOLUME_STEPS.find(({ name }) => name === "put in parts");
    await expect(step?.run(run, signal)).rejects.toMatchObject({
      code: "MODAL_REFUSED",
      message: expect.stringMatching(/^640 bytes were sent instead of 320: /u) as string,
    });
  });

  test("does not take a wrong result or a call that never starts for a right one", async () => {
    const liar = fileURLToPath(new URL("../../helpers/modal/lying-canary.py", import.meta.url));
    const lied = await check({ handler: liar });
    expect(lied.step("call").error).toMatchObject({
      code: "FUNCTION_RESULT_INVALID",
      message: expect.stringContaining("not the digest of the file"),
    });
    await expectNothingLeft();
    await host.fault({ latencyMs: 400, rpc: "VolumeListFiles2" });
    const late = await check({ callWaitMs: 1 });
    expect(late.failed).toEqual(["call"]);
    expect(late.step("call").error?.code).toBe("CALL_WAIT_TIMED_OUT");
    await expectNothingLeft();
  });

  test("asks for no GPU, and never leaves the resources out", async () => {
    const asked: unknown[] = [];
    const session = scriptedSession({
      functionCreate: async ({ function: wanted }: { function: { resources: unknown } }) => {
        asked.push(wanted.resources);
        return { functionId: "fu-1" };
      },
    });
    const spec = { tag: "canary", module: "canary", implementation: "canary", parameters: [] };
    const common = { appId: "ap-1", appName: "a", functionId: "fu-1", imageId: "im-1", mountIds: [], spec };
    for (const gpus of [[], ["T4"]]) {
      const resources = { gpus, timeoutSeconds: 1, scaledownWindowSeconds: 2 };
      await createFunction(session, { ...common, resources });
    }
    expect(asked).toMatchObject([{ gpuConfig: {} }, { gpuConfig: { count: 1, gpuType: "T4" } }]);
  });

  test("cleans up when it is interrupted", async () => {
    const interrupted = new AbortController();
    const running = check({ signal: interrupted.signal });
    await expect.poll(() => host.host.stats().calls.started, { timeout: 20_000 }).toBeGreaterThan(0);
    interrupted.abort();
    const { failed, ok } = await running;
    expect(ok).toBe(false);
    expect(failed).toHaveLength(1);
    await expectNothingLeft();
  });
});

describe("lifetimes", () => {
  const now = Date.UTC(2026, 0, 1);
  test.each([
    ["https://s3/x?X-Amz-Date=1&X-Amz-Expires=900", 900],
    ["https://g/x?x-goog-expires=60", 60],
    [`https://s3/x?Expires=${now / 1000 + 30}`, 30],
    ["https://a/x?se=2026-01-01T01:00:00Z", 3600],
    ["https://h/block/token", null],
    ["https://h/x?Expires=soon", null],
  ])("of %s is %s", (url, seconds) => expect(urlLifetimeSeconds(url, now)).toBe(seconds));

  test("of a token", () => {
    const claims = Buffer.from(JSON.stringify({ exp: now / 1000 + 5 })).toString("base64url");
    expect(secondsUntilExpiry(`a.${claims}.b`, now)).toBe(5);
    expect(secondsUntilExpiry("opaque", now)).toBeNull();
  });
});
