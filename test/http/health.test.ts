import { describe, expect, it } from "vitest";
import { workerHealth, type WorkerVitals } from "../../src/pool/health.ts";
import { testFolder } from "../../support/folder.ts";
import { startTestServer } from "../helpers/http/server.ts";

const ask = async (vitals: Partial<WorkerVitals>) => {
  await using folder = await testFolder();
  const checks = workerHealth({
    probeRedis: async () => await Promise.resolve(),
    isStopping: () => false,
    sincePollMs: () => 0,
    holds: () => new Map(),
    register: async () => await Promise.resolve(),
    sayHello: async () => await Promise.resolve(),
    mediaRoot: folder.path,
    minFreeBytes: 1,
    ...vitals,
  });
  await using server = await startTestServer({}, checks);
  const response = await server.request("/readyz");
  const body = (await response.json()) as { ok: boolean; checks: Record<string, string | null> };
  expect((await server.request("/livez")).status).toBe(200);
  expect(body.ok).toBe(response.status === 200);
  return {
    status: response.status,
    wrong: Object.entries(body.checks).filter(([, problem]) => problem !== null),
  };
};

describe("/readyz", () => {
  it("says that all is well", async () => {
    expect(await ask({})).toEqual({ status: 200, wrong: [] });
  });

  it.each([
    ["redis", { probeRedis: async () => await Promise.reject(new Error("no route")) }, /no route/u],
    ["consumers", { sincePollMs: () => 61_000 }, /no job was asked for in 61 s/u],
    ["modal", { register: async () => await Promise.reject(new Error("image refused")) }, /image refused/u],
    ["modal", { sayHello: async () => await Promise.reject(new Error("bad token")) }, /bad token/u],
    ["intake", { holds: () => new Map([["token", "refused"]]) }, /no jobs are taken: refused/u],
    ["disk", { minFreeBytes: Number.MAX_SAFE_INTEGER }, /MiB free in the media root/u],
    ["disk", { mediaRoot: "/nowhere/at/all" }, /ENOENT/u],
    ["draining", { isStopping: () => true }, /stopping/u],
  ] as const)("tells that %s is not", async (name, vitals, problem) => {
    const { status, wrong } = await ask(vitals);
    expect(status).toBe(503);
    expect(wrong).toEqual([[name, expect.stringMatching(problem)]]);
  });

  it("does not wait for a check that hangs", async () => {
    const { status, wrong } = await ask({ probeRedis: async () => await new Promise(() => undefined) });
    expect([status, wrong]).toEqual([503, [["redis", "gave no answer in time"]]]);
  });
});

describe("the question to Modal", () => {
  it("is asked again only when the answer is old, and every time while something is wrong", async () => {
    let asked = 0;
    let isDown = true;
    const { modal } = workerHealth({
      probeRedis: async () => await Promise.resolve(),
      isStopping: () => false,
      sincePollMs: () => 0,
      holds: () => new Map(),
      register: async () => await Promise.resolve(),
      sayHello: async () => {
        asked += 1;
        await Promise.resolve();
        if (isDown) throw new Error("down");
      },
      mediaRoot: ".",
      minFreeBytes: 0,
    });
    await expect(modal?.()).rejects.toThrow("down");
    await expect(modal?.()).rejects.toThrow("down");
    isDown = false;
    expect(await modal?.()).toBeNull();
    expect(await modal?.()).toBeNull();
    expect(asked).toBe(3);
  });
});
