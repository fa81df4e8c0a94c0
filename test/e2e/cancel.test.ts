import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCommand } from "../../support/dev.ts";
import { expectBooksCleared } from "../../support/redis.ts";
import { type Stack, startStack } from "../../support/stack.ts";

const request = { input: "film.mp4", language: "en", overwrite: true };

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
});

const callsOf = (id: string) => stack.host.stats().calls.list.filter(({ path }) => path.startsWith(`${id}/`));

async function expectNothingLeft(): Promise<void> {
  await expect.poll(() => stack.host.stats().volumes.live, { timeout: 10_000 }).toBe(0);
  expect(stack.host.stats().calls.running).toBe(0);
  await expectBooksCleared(stack.redisUrl);
}

describe("cancel", () => {
  it("ends a job that nobody has taken yet, without any worker", async () => {
    const { id } = await stack.client.submit("transcribe", request);
    expect(await stack.client.cancel(id)).toEqual({ id, accepted: true });
    expect(await stack.client.get(id)).toMatchObject({
      status: "cancelled",
      state: "cancelled",
      error: { code: "CANCELLED" },
    });
    expect(await stack.client.cancel(id)).toEqual({ id, accepted: false });
  });

  it("stops a running call, deletes the volume and leaves no output", async () => {
    const worker = await stack.startWorker();
    const { id } = await stack.client.submit("transcribe", request);
    await stack.seen(id, ({ state }) => state === "call" && callsOf(id).length === 1);
    const askedAt = Date.now();
    await stack.client.cancel(id);
    expect(await stack.client.cancel(id)).toMatchObject({ accepted: true });
    const job = await stack.client.wait(id, { pollMs: 20 });
    expect(Date.now() - askedAt).toBeLessThan(5000);
    expect(job).toMatchObject({ status: "cancelled", outputs: [], error: { code: "CANCELLED" } });
    expect(callsOf(id).map(({ status }) => status)).toEqual(["cancelled"]);
    expect((await readdir(stack.mediaRoot)).filter((name) => name !== "film.mp4")).toEqual([]);
    await expectNothingLeft();
    await worker.kill("SIGTERM");
  });

  it("undoes a job that waits for a retry with things to undo", async () => {
    const worker = await stack.startWorker();
    const fault = { rpc: "VolumePutFiles2", code: "UNAVAILABLE", times: 100 };
    expect((await fetch(stack.host.adminUrl, { method: "POST", body: JSON.stringify(fault) })).ok).toBe(true);
    const { id } = await stack.client.submit("convert", { input: "film.mp4" });
    await stack.seen(id, ({ states }) =>
      states.some(({ state, attempts }) => state === "upload" && attempts > 1),
    );
    await stack.client.cancel(id);
    const job = await stack.client.wait(id, { pollMs: 20 });
    expect(job).toMatchObject({ status: "cancelled", error: { code: "CANCELLED" } });
    expect((await fetch(stack.host.adminUrl, { method: "DELETE" })).ok).toBe(true);
    await expectNothingLeft();
    await worker.kill("SIGTERM");
  });

  it("does nothing to a finished job and says so; a cancelled one can be retried", async () => {
    const worker = await stack.startWorker();
    const { id } = await stack.client.submit("transcribe", request);
    await stack.client.cancel(id);
    expect((await stack.client.wait(id)).status).toBe("cancelled");
    await stack.client.retry(id);
    expect(await stack.client.wait(id, { pollMs: 50 })).toMatchObject({ status: "completed", error: null });
    expect(await stack.client.cancel(id)).toEqual({ id, accepted: false });
    expect((await stack.client.get(id)).status).toBe("completed");
    await expect(stack.client.retry(id)).rejects.toMatchObject({ code: "JOB_NOT_RETRYABLE" });
    await expect(stack.client.cancel("nobody")).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
    await expectNothingLeft();
    await worker.kill("SIGTERM");
  });

  it("is a command for people and for machines", async () => {
    const env = { REDIS_URL: stack.redisUrl };
    const { id } = await stack.client.submit("transcribe", request);
    const cancelled = await runCommand(["cancel", id, "--json"], { cwd: stack.mediaRoot, env });
    expect(JSON.parse(cancelled.stdout)).toMatchObject({ accepted: true, job: { id, status: "cancelled" } });
    const again = await runCommand(["cancel", id], { cwd: stack.mediaRoot, env });
    expect(again).toMatchObject({ code: 0 });
    expect(again.stderr).toContain("over already");
    expect((await runCommand(["cancel", "nobody"], { cwd: stack.mediaRoot, env })).code).toBe(1);
  });
});

describe("the reaper", () => {
  it("removes the volume and the call of a job that was removed by hand, but only that", async () => {
    const handler = join(stack.mediaRoot, "..", "endless.py");
    await writeFile(
      handler,
      "import time\ndef transcribe(*args, **kwargs):\n    time.sleep(600)\nconvert = transcribe\n",
    );
    const worker = await stack.startWorker({ MIRUMOJI_HANDLER: handler });
    const { id } = await stack.client.submit("transcribe", request);
    await stack.seen(id, ({ state }) => state === "call" && callsOf(id).length === 1);
    await worker.kill("SIGKILL");
    const env = {
      REDIS_URL: stack.redisUrl,
      MODAL_SERVER_URL: stack.host.serverUrl,
      MODAL_TOKEN_ID: stack.host.tokenId,
      MODAL_TOKEN_SECRET: stack.host.tokenSecret,
    };
    const reap = async (...args: string[]) => {
      const { stdout } = await runCommand(["reap", "--json", ...args], { cwd: stack.mediaRoot, env });
      return JSON.parse(stdout) as { leftovers: { jobId: string; reason: string }[] };
    };
    // The worker is dead but the job is alive: nothing may be taken from it.
    expect(await reap()).toMatchObject({ leftovers: [] });
    await removeByHand(stack.redisUrl, id);
    expect(await reap("--dry-run")).toMatchObject({ leftovers: [{ jobId: id, reason: "job is gone" }] });
    expect(stack.host.stats().volumes.live).toBe(1);
    expect(await reap()).toMatchObject({ leftovers: [{ jobId: id, reason: "job is gone" }] });
    expect(callsOf(id).map(({ status }) => status)).toEqual(["cancelled"]);
    await expectNothingLeft();
  });
});

describe("submit with an idempotency key", () => {
  it("gives the same job for the same request, and an error for another", async () => {
    const key = { idempotencyKey: "order-1" };
    const first = await stack.client.submit("convert", { input: "film.mp4" }, key);
    expect(first.created).toBe(true);
    const known = { ...first, created: false };
    expect(await stack.client.submit("convert", { input: "film.mp4" }, key)).toEqual(known);
    const other = stack.client.submit("convert", { input: "film.mp4", preset: "quality" }, key);
    await expect(other).rejects.toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
    const otherType = stack.client.submit("transcribe", request, key);
    await expect(otherType).rejects.toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
    await stack.client.cancel(first.id);
    expect(await stack.client.submit("convert", { input: "film.mp4" }, key)).toEqual(known);
  });
});

/** Effect of "remove" in Bull Board, or of a clean-up script, on a job whose worker is dead. */
async function removeByHand(redisUrl: string, id: string): Promise<void> {
  const { Queue } = await import("bullmq");
  const { Redis } = await import("ioredis");
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
  const queue = new Queue("transcribe", { connection: redis, prefix: "{mirumoji}" });
  await redis.del(`{mirumoji}:transcribe:${id}:lock`);
  await queue.remove(id);
  await queue.close();
  redis.disconnect();
}
