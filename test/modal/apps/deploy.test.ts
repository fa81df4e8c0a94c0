import { Redis } from "ioredis";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type GpuHostOptions, startGpuHost } from "../../../src/gpu-host/host.ts";
import { modalApps } from "../../../src/modal/apps/app.ts";
import { modalCalls } from "../../../src/modal/calls/calls.ts";
import { type DeployOptions, type Deployment, deployModal } from "../../../src/modal/apps/deploy.ts";
import { mountedHandler } from "../../../src/modal/apps/handler.ts";
import { openModalSession } from "../../../src/modal/rpc/session.ts";
import { createAppShare } from "../../../src/queue/app-share.ts";
import type { AppShare } from "../../../src/queue/app-share.ts";
import { randomPrefix, testRedis } from "../../../support/redis.ts";
import { type HostForTests, startHostForTests } from "../../helpers/modal/gpu-host.ts";
import { recordingSession } from "../../helpers/modal/wire-shape.ts";

const { signal } = new AbortController();
const HANDLER = `
import time

def transcribe(what, value=None):
    time.sleep(value or 0)
    return what

def convert():
    pass
`;

let redis: Awaited<ReturnType<typeof testRedis>>;
let connection: Redis;
beforeAll(async () => {
  redis = await testRedis();
  connection = new Redis(redis.url);
});
afterAll(async () => {
  connection.disconnect();
  await redis[Symbol.asyncDispose]();
});

/** A pool of its own on a server of its own. */
async function startPool() {
  const host = await startHostForTests();
  const prefix = randomPrefix();
  const handlerPath = join(host.folder, "handler.py");
  await writeFile(handlerPath, HANDLER);
  const settings = { image: "a/b:1", gpus: ["T4"], timeoutSeconds: 30, scaledownWindowSeconds: 2 };
  return {
    host,
    prefix,
    /** Deploys as another worker of the pool each time. */
    deploy: async (more: Partial<DeployOptions> = {}): Promise<Deployment> =>
      await deployModal(host.session, {
        ...settings,
        handler: mountedHandler(handlerPath),
        share: shareOf(prefix),
        ...more,
      }),
    [Symbol.asyncDispose]: async () => await host[Symbol.asyncDispose](),
  };
}

function countOf(host: HostForTests, rpc: string): number {
  return host.requests.filter((request) => request.rpc === rpc).length;
}

/** Calls `transcribe` and gives what it returns. */
async function callOf(host: Pick<HostForTests, "session">, functionId: string, args: unknown[]) {
  const calls = modalCalls(host.session);
  const input = { args, kwargs: {} };
  const { callId } = await calls.open({ functionId, input, signal });
  await calls.start({ functionId, callId, input, signal });
  const result = async () => {
    const state = await calls.poll({ callId, waitMs: 20_000, signal });
    return state.kind === "succeeded" ? state.value : state.kind;
  };
  return { callId, result };
}

const shareOf = (prefix: string) => createAppShare(connection, { prefix, leaseMs: 60_000, now: Date.now });

describe("deploying", () => {
  test("publishes under the name, as the Python SDK does, and leaves nothing that has to be kept alive", async () => {
    await using pool = await startPool();
    const session = recordingSession(pool.host.session);
    const deployed = await deployModal(session, {
      image: "a/b:1",
      gpus: ["T4"],
      timeoutSeconds: 30,
      scaledownWindowSeconds: 2,
      handler: mountedHandler(join(pool.host.folder, "handler.py")),
      share: shareOf(pool.prefix),
    });
    const rpcs = session.requests.map(({ rpc }) => rpc).filter((rpc) => rpc !== "AppHeartbeat");
    expect(rpcs.slice(0, 2)).toEqual(["AppGetByDeploymentName", "AppCreate"]);
    expect(rpcs.at(-1)).toBe("AppPublish");
    expect(session.requests.find(({ rpc }) => rpc === "AppCreate")?.msg).toMatchObject({
      description: "mirumoji-gpu",
      appState: 6,
    });
    expect(session.requests.at(-1)?.msg).toMatchObject({
      name: "mirumoji-gpu",
      appState: 3,
      functionIds: { transcribe: deployed.transcribe.functionId, convert: deployed.convert.functionId },
    });
    expect(deployed.isNew).toBe(true);
    const named = await pool.host.session.cpClient.appGetByDeploymentName({ name: "mirumoji-gpu" });
    expect(named).toMatchObject({ appId: deployed.appId, lifecycle: { appState: 3 } });
    const call = await callOf(pool.host, deployed.transcribe.functionId, ["hello"]);
    expect(await call.result()).toBe("hello");
    expect(countOf(pool.host, "AppClientDisconnect")).toBe(0);
  });

  test("happens once, whoever comes first and however many come", async () => {
    await using pool = await startPool();
    const all = await Promise.all(Array.from({ length: 4 }, async () => await pool.deploy()));
    expect(all.filter(({ isNew }) => isNew)).toHaveLength(1);
    expect(new Set(all.map(({ appId, transcribe }) => `${appId} ${transcribe.functionId}`)).size).toBe(1);
    expect(countOf(pool.host, "AppCreate")).toBe(1);
    const before = pool.host.requests.length;
    expect(await pool.deploy()).toMatchObject({ isNew: false });
    expect(pool.host.requests.slice(before).map(({ rpc }) => rpc)).toEqual([
      "AppGetByDeploymentName",
      "AppGetLayout",
    ]);
  });

  test("happens again when something changed, over the same functions, and running calls go on", async () => {
    await using pool = await startPool();
    const first = await pool.deploy();
    const call = await callOf(pool.host, first.transcribe.functionId, ["old", 2]);
    const second = await pool.deploy({ gpus: ["L4"] });
    expect(second).toMatchObject({
      isNew: true,
      appId: first.appId,
      transcribe: { functionId: first.transcribe.functionId },
      convert: { functionId: first.convert.functionId },
    });
    expect(second.fingerprint).not.toBe(first.fingerprint);
    expect(await pool.deploy({ gpus: ["L4"] })).toMatchObject({ isNew: false });
    expect(await pool.deploy({ gpus: ["L4"], force: true })).toMatchObject({
      isNew: true,
      appId: first.appId,
    });
    expect(await call.result()).toBe("old");
    expect(countOf(pool.host, "AppCreate")).toBe(1);
  });

  test("happens again when somebody stopped the app", async () => {
    await using pool = await startPool();
    const { appId } = await pool.deploy();
    await pool.host.session.cpClient.appStop({ appId });
    const again = await pool.deploy();
    expect(again.isNew).toBe(true);
    expect(again.appId).not.toBe(appId);
  });

  test("happens again when somebody published the app without our functions", async () => {
    await using pool = await startPool();
    const { appId, transcribe } = await pool.deploy();
    await pool.host.session.cpClient.appPublish({
      appId,
      name: "mirumoji-gpu",
      appState: 3,
      functionIds: {},
    });
    const again = await pool.deploy();
    expect(again).toMatchObject({ isNew: true, appId });
    const call = await callOf(pool.host, again.transcribe.functionId, ["ours"]);
    expect(await call.result()).toBe("ours");
    expect(transcribe.tag).toBe(again.transcribe.tag);
  });

  test("takes up the deployed app when Redis was emptied", async () => {
    await using pool = await startPool();
    const { appId } = await pool.deploy();
    await connection.del(`${pool.prefix}:app`);
    expect(await pool.deploy()).toMatchObject({ isNew: true, appId });
    expect(countOf(pool.host, "AppCreate")).toBe(1);
  });
});

describe("deploying that is interrupted", () => {
  /** A share whose process dies at the nth write: nothing of it is heard again. */
  function dyingAt(share: AppShare, write: number): AppShare {
    let writes = 0;
    return {
      ...share,
      write: async (app) => {
        writes += 1;
        if (writes < write) await share.write(app);
        else await new Promise<never>(() => {});
      },
      exclusively: async (action) => await action(),
    };
  }

  test.each([
    ["before its functions are registered", "FunctionPrecreate"],
    ["before it is published", "AppPublish"],
  ])("is gone on with, in the same app: %s", async (_when, rpc) => {
    await using pool = await startPool();
    const dying = shareOf(pool.prefix);
    await pool.host.fault({ rpc, latencyMs: 60_000 });
    // It hangs for good, like a process that was killed, and holds no lock, like one whose lock ran out.
    void pool
      .deploy({ share: { ...dying, exclusively: async (action) => await action() } })
      .catch(() => undefined);
    while (countOf(pool.host, rpc) === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    await pool.host.clearFaults();
    const { appId } = await pool.deploy();
    expect(countOf(pool.host, "AppCreate")).toBe(1);
    const named = await pool.host.session.cpClient.appGetByDeploymentName({ name: "mirumoji-gpu" });
    expect(named.appId).toBe(appId);
  });

  test("is gone on with when it was published and nobody wrote that down", async () => {
    await using pool = await startPool();
    const dying = dyingAt(shareOf(pool.prefix), 2);
    void pool.deploy({ share: dying });
    while (countOf(pool.host, "AppPublish") === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    const { isNew } = await pool.deploy();
    expect(isNew).toBe(true);
    expect(countOf(pool.host, "AppCreate")).toBe(1);
    expect(pool.host.host.stats().apps).toEqual({ live: 1, created: 1 });
  });

  test("ends an app that was never published", async () => {
    await using pool = await startPool();
    await pool.host.fault({ image: "fail", message: "no such manifest" });
    await expect(pool.deploy()).rejects.toMatchObject({ code: "IMAGE_BUILD_FAILED" });
    expect(pool.host.host.stats().apps).toEqual({ live: 0, created: 1 });
    expect(await pool.deploy()).toMatchObject({ isNew: true });
  });

  test("leaves a deployed app as it was", async () => {
    await using pool = await startPool();
    const first = await pool.deploy();
    await pool.host.fault({ image: "fail", message: "no such manifest" });
    await expect(pool.deploy({ image: "a/broken:1" })).rejects.toMatchObject({ code: "IMAGE_BUILD_FAILED" });
    const call = await callOf(pool.host, first.transcribe.functionId, ["still here"]);
    expect(await call.result()).toBe("still here");
  });
});

describe("a deployed app", () => {
  test("outlives the host's restart and any time without a heartbeat, with its calls", async () => {
    await using pool = await startPool();
    const dataDir = join(pool.host.folder, "restarted");
    const start = async (more: Partial<GpuHostOptions> = {}) => {
      const host = await startGpuHost({ dataDir, tokenId: "ak-1", tokenSecret: "as-1", ...more });
      return { host, session: openModalSession({ ...host }) };
    };
    const first = await start();
    const share = shareOf(randomPrefix());
    const options = { image: "a/b:1", gpus: ["T4"], timeoutSeconds: 30, scaledownWindowSeconds: 2, share };
    const handler = mountedHandler(join(pool.host.folder, "handler.py"));
    const deployed = await deployModal(first.session, { ...options, handler });
    await first.host.close();
    const second = await start({ appTtlMs: 100 });
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(await deployModal(second.session, { ...options, handler })).toMatchObject({
      isNew: false,
      appId: deployed.appId,
    });
    const call = await callOf(second, deployed.transcribe.functionId, ["after the restart"]);
    expect(await call.result()).toBe("after the restart");
    await second.host.close();
  });

  test("is asked whether it is there instead of being beaten, and is missed when it was stopped", async () => {
    await using pool = await startPool();
    const { appId, transcribe } = await pool.deploy();
    const before = countOf(pool.host, "AppHeartbeat");
    const apps = modalApps(pool.host.session, { isDeployed: (id) => id === appId });
    await apps.heartbeat({ appId });
    expect(countOf(pool.host, "AppHeartbeat")).toBe(before);
    await pool.host.session.cpClient.appStop({ appId });
    await expect(apps.heartbeat({ appId })).rejects.toMatchObject({ code: "APP_LOST" });
    const lost: string[] = [];
    const calls = modalCalls(pool.host.session, { onFunctionLost: (id) => lost.push(id) });
    const input = { args: [], kwargs: {} };
    await expect(calls.open({ functionId: transcribe.functionId, input, signal })).rejects.toMatchObject({
      code: "APP_LOST",
    });
    expect(lost).toEqual([transcribe.functionId]);
  });
});
