import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { JOB_TYPES } from "../../src/job/contract.ts";
import { IS_LONG, openRig, type Rig } from "../helpers/crash/rig.ts";
import { startTcpProxy } from "../helpers/crash/tcp-proxy.ts";

/** Long enough to spend every attempt of a state, were they counted, in the long form. */
const SECONDS = Number(process.env["NETWORK_LOSS_SECONDS"] ?? (IS_LONG ? 300 : 6));
const MEBIBYTE = 2 ** 20;
const OFTEN = 1_000_000;

let rig: Rig;
beforeAll(async () => {
  rig = await openRig({ maxConcurrentCalls: 8 });
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

describe("a pool without network", { timeout: (2 * SECONDS + 240) * 1000 }, () => {
  it.each(["refuse", "blackHole"] as const)(
    `for ${SECONDS} s, where Modal is concerned (%s), loses nothing and spends no attempt, in every state`,
    async (way) => {
      const words = way === "refuse" ? "connections refused" : "packets swallowed";
      await using proxy = await startTcpProxy(rig.host.port);
      await using scene = await rig.scene(`no network for ${SECONDS} s, ${words}`);
      const redis = new Redis(rig.redis.url);
      const pause = async () => await redis.hget(`${scene.prefix}:pause`, "code");
      const env = { MODAL_SERVER_URL: `http://127.0.0.1:${proxy.port}`, MIRUMOJI_MAX_TRANSFERS: "4" };
      await Promise.all([scene.worker(env), scene.worker(env)]);
      // Jobs whose calls end before the network is gone, meanwhile, and after it is back.
      for (const callSeconds of [0, 1, SECONDS / 2, SECONDS + 2]) {
        for (const type of JOB_TYPES) await scene.submit(type, { callSeconds });
      }
      const [, , , , , , , last] = scene.jobs;
      if (last !== undefined) await scene.callIs(last);
      for (const block of ["PUT", "GET"] as const) {
        await rig.host.order({ block, behaviour: "drop", times: OFTEN });
      }
      // Stay in their uploads, or do not even have a volume, when it begins.
      for (const type of JOB_TYPES) await scene.submit(type, { extraBytes: 20 * MEBIBYTE });
      await expect
        .poll(async () => (await rig.host.stats()).volumes.live, { timeout: 20_000 })
        .toBeGreaterThan(2);
      proxy[way]();
      for (const type of JOB_TYPES) await scene.submit(type);
      await sleep(SECONDS * 1000);
      if (way === "refuse") expect(await pause()).toBe("MODAL_UNAVAILABLE");
      await rig.host.clearFaults();
      proxy.heal();
      const backAt = Date.now();
      // A request that fails in the very moment when Modal is back counts.
      await scene.expectAllWell({
        mostAttempts: 2,
        cases: [{ name: scene.name, jobs: scene.jobs, backAt }],
        // Made in the moment of the loss, and the answer never came.
        mostUnanswered: JOB_TYPES.length,
      });
      expect(await pause()).toBeNull();
      redis.disconnect();
    },
  );
});
