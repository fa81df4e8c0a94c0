import { describe, expect, it } from "vitest";
import { startStack } from "../../support/stack.ts";

const request = { input: "film.mp4", language: "en" };
/** Below the documented bound of 30 s. */
const TAKEN_OVER_WITHIN_MS = 30_000;

describe("a job whose worker goes away while its call runs", () => {
  it("is taken over after SIGKILL and its call is re-attached, not started again", async () => {
    await using stack = await startStack();
    const first = await stack.startWorker();
    const { id } = await stack.client.submit("transcribe", request);
    await stack.seen(id, ({ state }) => state === "call" && stack.host.stats().calls.started === 1);
    await first.kill("SIGKILL");
    const killedAt = Date.now();
    await stack.startWorker();
    const job = await stack.client.wait(id, { pollMs: 50 });
    expect(job).toMatchObject({ status: "completed", error: null });
    expect(Date.now() - killedAt).toBeLessThan(TAKEN_OVER_WITHIN_MS);
    const stats = stack.host.stats();
    expect(stats.calls.started).toBe(1);
    expect(stats.volumes).toMatchObject({ created: 1, live: 0 });
    expect(job.states.find(({ state }) => state === "upload")?.attempts).toBe(1);
  });

  it("is handed over at once by a clean stop, without spending an attempt or ending the call", async () => {
    await using stack = await startStack();
    const first = await stack.startWorker();
    const second = await stack.startWorker();
    const { id } = await stack.client.submit("transcribe", request);
    await stack.seen(id, ({ state }) => state === "call" && stack.host.stats().calls.started === 1);
    const owner = first.log().includes("job started") ? first : second;
    const other = owner === first ? second : first;
    expect(await owner.kill("SIGTERM")).toBe(0);
    const stoppedAt = Date.now();
    while (!other.log().includes("job resumed at call"))
      await new Promise((resolve) => setTimeout(resolve, 10));
    expect(Date.now() - stoppedAt).toBeLessThan(6000);
    const job = await stack.client.wait(id, { pollMs: 50 });
    expect(job).toMatchObject({ status: "completed", error: null });
    expect(job.states.find(({ state }) => state === "call")?.attempts).toBe(1);
    expect(stack.host.stats().calls).toMatchObject({ started: 1, cancelled: 0 });
  });
});

describe("a worker that nobody needs", () => {
  it("stops on SIGTERM and on SIGINT with exit code 0", async () => {
    await using stack = await startStack();
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const worker = await stack.startWorker();
      expect(await worker.kill(signal)).toBe(0);
    }
  });
});
