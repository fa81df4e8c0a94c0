import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { testFolder } from "../../support/folder.ts";
import { openRig, type Rig } from "../helpers/crash/rig.ts";
import { startHost } from "../helpers/crash/services.ts";

/** Twelve heartbeats of a worker: the server removes what is not kept alive for this long. */
const VOLUME_TTL_MS = 6000;

let rig: Rig;
beforeAll(async () => {
  rig = await openRig({ maxConcurrentCalls: 2, volumeTtlMs: VOLUME_TTL_MS });
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

describe("volumes that the server would soon remove", { timeout: 120_000 }, () => {
  it("are kept alive through a call and while its job waits until its output can be written", async () => {
    await using scene = await rig.scene("output folder gone for a while");
    await scene.worker();
    const { created } = (await rig.host.stats()).volumes;
    const waiting = await scene.submit("convert", { callSeconds: 2, folder: "films" });
    await scene.callIs(waiting);
    const folder = join(scene.mediaRoot, "films");
    await rename(folder, `${folder}-away`);
    await writeFile(folder, "a file in place of the folder");
    await expect.poll(() => scene.logs(), { timeout: 30_000 }).toMatch(/"job.delayed".*OUTPUT_WRITE_FAILED/u);
    await sleep(VOLUME_TTL_MS);
    await rm(folder);
    await rename(`${folder}-away`, folder);
    await scene.expectAllWell();
    expect((await rig.host.stats()).volumes).toMatchObject({ created: created + 1, expired: 0 });
  });
});

describe("a pool with another server", { timeout: 120_000 }, () => {
  it("on the same queues is refused, touches nothing, and goes on when the first one is gone", async () => {
    const folder = await testFolder();
    await using other = await startHost(folder.path, { maxConcurrentCalls: 1 });
    await using scene = await rig.scene("two servers on one prefix");
    const first = await scene.worker();
    const job = await scene.submit("convert", { callSeconds: 600 });
    await scene.callIs(job);
    const second = await scene.worker({
      MODAL_SERVER_URL: other.serverUrl,
      MODAL_TOKEN_ID: other.tokenId,
      MODAL_TOKEN_SECRET: other.tokenSecret,
    });
    await expect
      .poll(() => second.log(), { timeout: 10_000 })
      .toMatch(/PREFIX_IN_USE.*1 workers, 1 live volumes/u);
    const client = await scene.client();
    // Nobody else takes it, and the second worker has not struck its volume.
    await first.kill("SIGTERM");
    await sleep(1000);
    await scene.worker();
    await client.cancel(job.id);
    await scene.expectAllWell({ status: "cancelled" });
    expect((await other.stats()).volumes).toMatchObject({ created: 0, deleted: 0 });
    await scene.workers.at(-1)?.kill("SIGTERM");
    const next = await scene.submit("transcribe");
    await scene.seen(next, ({ status }) => status === "completed");
    expect((await other.stats()).volumes).toMatchObject({ created: 1, deleted: 1 });
    await folder[Symbol.asyncDispose]();
  });
});

describe("a cancel", { timeout: 120_000 }, () => {
  it("is heard when its push is lost, and reaches a call that waits for a place", async () => {
    await using scene = await rig.scene("cancels: push lost, call queued");
    await scene.worker();
    const running = [
      await scene.submit("convert", { callSeconds: 600 }),
      await scene.submit("convert", { callSeconds: 600 }),
    ];
    for (const job of running) await scene.callIs(job);
    const queued = await scene.submit("transcribe");
    await scene.callIs(queued, "queued");
    const client = await scene.client();
    expect(await client.cancel(queued.id)).toMatchObject({ accepted: true });
    await scene.seen(queued, ({ status }) => status === "cancelled");
    const redis = new Redis(rig.redis.url);
    for (const { id, type } of running) {
      await redis.hset(`${scene.prefix}:${type}:${id}`, "cancelRequestedAt", Date.now());
    }
    redis.disconnect();
    await scene.expectAllWell({ status: "cancelled" });
  });
});
