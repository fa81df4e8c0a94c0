import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MirumojiError } from "../../../src/job/errors.ts";
import type { RpcEvent } from "../../../src/modal/rpc/observe-rpcs.ts";
import { engineInquiry } from "../../../src/modal/rpc/engines.ts";
import { unary } from "../../../src/modal/rpc/rpc.ts";
import { openModalSession } from "../../../src/modal/rpc/session.ts";
import { modalVolumes } from "../../../src/modal/volumes/volumes.ts";
import { type HostForTests, startHostForTests } from "../../helpers/modal/gpu-host.ts";

let host: HostForTests;
beforeAll(async () => {
  host = await startHostForTests();
});
afterAll(async () => await host[Symbol.asyncDispose]());

const anApp = { description: "a", appState: 1 } as const;

describe("a session", () => {
  test("leaves the environment as it was", async () => {
    const before = { ...process.env };
    host.open();
    expect(Object.entries(process.env)).toEqual(Object.entries(before));
    process.env["MODAL_SERVER_URL"] = "http://other:1";
    host.open();
    expect(process.env["MODAL_SERVER_URL"]).toBe("http://other:1");
    delete process.env["MODAL_SERVER_URL"];
    expect(() => openModalSession({ serverUrl: "not a URL", tokenId: "a", tokenSecret: "b" })).toThrow();
    expect(process.env).toEqual(before);
  });

  test("passes by the proxy for this machine only", async () => {
    const asked: (string | undefined)[] = [];
    const proxy = createServer().on("connect", ({ url }, socket) => {
      asked.push(url);
      socket.destroy();
    });
    await once(proxy.listen(0, "127.0.0.1"), "listening");
    process.env["http_proxy"] = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    try {
      await expect(unary(host.open(), "appCreate", anApp)).resolves.toBeDefined();
      expect(asked).toEqual([]);
      const far = openModalSession({ serverUrl: "http://modal.invalid:80", tokenId: "a", tokenSecret: "b" });
      await expect(unary(far, "appCreate", anApp, { timeoutMs: 500 })).rejects.toThrow();
      expect(asked).toContain("modal.invalid:80");
    } finally {
      delete process.env["http_proxy"];
      proxy.close();
    }
  });

  test("asks a host for its speech engines, and goes on without an answer", async () => {
    const { signal } = new AbortController();
    const engine = {
      engine: "pocketsphinx",
      model: "en-us",
      languages: ["en"],
      problem: null,
      isUsable: true,
    };
    const looks: (string | null)[] = [];
    await using telling = await startHostForTests({
      inspectEngines: async (model) => {
        looks.push(model);
        return await (model === "broken"
          ? Promise.reject(new Error("no Python"))
          : Promise.resolve([engine]));
      },
    });
    const inquire = engineInquiry(telling.session, () => performance.now());
    expect(await inquire(null, signal)).toEqual([engine]);
    expect(await inquire(null, signal)).toEqual([engine]);
    expect(await inquire("大きい/モデル", signal)).toEqual([engine]);
    expect(await inquire("broken", signal)).toBeNull();
    expect(looks).toEqual([null, "大きい/モデル", "broken"]);
    const gone = openModalSession({ serverUrl: "http://127.0.0.1:9", tokenId: "a", tokenSecret: "b" });
    const stopped = AbortSignal.timeout(300);
    await expect(engineInquiry(gone, () => 0)(null, stopped)).rejects.toThrow();
  });

  test("on two servers at once talks to each", async () => {
    await using other = await startHostForTests();
    await modalVolumes(host.session).create({ signal: new AbortController().signal });
    await modalVolumes(other.session).create({ signal: new AbortController().signal });
    expect(other.host.stats().volumes.created).toBe(1);
    expect(other.requests.map(({ rpc }) => rpc)).toContain("VolumeGetOrCreate");
  });

  test("reports every RPC once, with its outcome, however often it was tried", async () => {
    const events: RpcEvent[] = [];
    const session = host.open({ onRpc: (event) => events.push(event) });
    await host.fault({ rpc: "AppCreate", code: "UNAVAILABLE", times: 2 });
    await unary(session, "appCreate", anApp);
    await expect(unary(session, "volumeHeartbeat", { volumeId: "vo-none" })).rejects.toThrow();
    const outcomes = events.filter(({ method }) => method !== "AuthTokenGet");
    expect(outcomes.map(({ method, code }) => `${method} ${code}`)).toEqual([
      "AppCreate OK",
      "VolumeHeartbeat NOT_FOUND",
    ]);
    expect(outcomes[0]?.ms).toBeGreaterThan(200);
  });

  test("with the wrong secret is MODAL_UNAUTHENTICATED and names the variables", async () => {
    const failing = unary(host.open({ tokenSecret: "as-wrong" }), "appCreate", anApp);
    await expect(failing).rejects.toMatchObject({ code: "MODAL_UNAUTHENTICATED" });
    await expect(failing).rejects.toThrow(/MODAL_TOKEN_ID and MODAL_TOKEN_SECRET/);
  });

  test("on a server that is not there is MODAL_UNAVAILABLE", async () => {
    const failing = unary(host.open({ serverUrl: "http://127.0.0.1:1" }), "appCreate", anApp);
    await expect(failing).rejects.toMatchObject({ code: "MODAL_UNAVAILABLE" });
    await expect(failing).rejects.toThrow(/AppCreate.*MODAL_SERVER_URL/);
  });
});

describe("an RPC", () => {
  test("whose answer was lost does not do its work twice", async () => {
    const before = host.host.stats().apps.created;
    await host.fault({ rpc: "AppCreate", code: "UNAVAILABLE", lostAnswer: true });
    await unary(host.session, "appCreate", anApp);
    expect(host.host.stats().apps.created).toBe(before + 1);
  });

  test("waits a little when it is throttled, and longer waits are MODAL_THROTTLED with their time", async () => {
    await host.fault({ rpc: "AppCreate", retryAfterSecs: 0.2 });
    await unary(host.session, "appCreate", anApp);
    await host.fault({ rpc: "AppCreate", retryAfterSecs: 40 });
    const failing = unary(host.session, "appCreate", anApp);
    await expect(failing).rejects.toMatchObject({ code: "MODAL_THROTTLED", retryAfterMs: 40_000 });
  });

  test("ends at its deadline", async () => {
    await host.fault({ rpc: "AppCreate", latencyMs: 5_000 });
    const startedAt = performance.now();
    const failing = unary(host.session, "appCreate", anApp, { timeoutMs: 300 });
    await expect(failing).rejects.toMatchObject({ code: "MODAL_UNAVAILABLE" });
    expect(performance.now() - startedAt).toBeLessThan(1_500);
    await host.clearFaults();
  });

  test("ends within 100 ms of an abort, also while the token is being fetched", async () => {
    for (const [rpc, session] of [
      ["AppCreate", host.session],
      ["AuthTokenGet", host.open()],
    ] as const) {
      await host.fault({ rpc, latencyMs: 5_000 });
      const controller = new AbortController();
      const reason = new MirumojiError("CANCELLED", "somebody asked");
      let abortedAt = 0;
      setTimeout(() => {
        abortedAt = performance.now();
        controller.abort(reason);
      }, 200);
      await expect(unary(session, "appCreate", anApp, { signal: controller.signal })).rejects.toBe(reason);
      expect(performance.now() - abortedAt).toBeLessThan(100);
      await host.clearFaults();
    }
  });

  test("is not sent when the signal is aborted already", async () => {
    const before = host.requests.length;
    const failing = unary(host.session, "appCreate", anApp, { signal: AbortSignal.abort() });
    await expect(failing).rejects.toMatchObject({ code: "INTERRUPTED" });
    expect(host.requests.length).toBe(before);
  });
});
