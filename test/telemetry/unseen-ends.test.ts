import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { expect, it } from "vitest";
import { connectRedis } from "../../src/queue/connection.ts";
import { jobKeys } from "../../src/queue/keys.ts";
import { runScript } from "../../src/queue/scripts.ts";
import { startStack } from "../../support/stack.ts";
import { root } from "../helpers/repo/sandbox.ts";

const PREFIX = "{mirumoji}";

it("counts every job that ended before a worker had it once, whoever ended it", async () => {
  await using stack = await startStack();
  const redis = connectRedis(stack.redisUrl);
  try {
    const submit = async (type: "transcribe" | "convert" = "transcribe") =>
      (await stack.client.submit(type, { input: "film.mp4" })).id;
    const byCommand = await submit();
    const byClient = await submit("convert");
    const halfCancelled = await submit();
    const byBullMQ = await submit();
    expect((await stack.command(["cancel", byCommand])).code).toBe(0);
    await stack.client.cancel(byClient);
    // Cancelled twice is cancelled once.
    expect(await stack.client.cancel(byClient)).toMatchObject({ accepted: false });
    // The worker that cancelled it died before it could tell BullMQ.
    const key = (name: string) => `${PREFIX}:transcribe:${name}`;
    const keys = jobKeys(PREFIX, "transcribe", halfCancelled);
    const lists = {
      wait: key("wait"),
      delayed: key("delayed"),
      prioritized: key("prioritized"),
      active: key("active"),
      completed: key("completed"),
      failed: key("failed"),
    };
    const args = {
      prefix: PREFIX,
      queue: "transcribe",
      jobId: halfCancelled,
      token: `cancel-${randomUUID()}`,
      leaseMs: "100",
    };
    expect(await runScript(redis, "cancel", { keys: { ...keys, ...lists }, args })).toBe("taken");
    // Entry that BullMQ writes when a job must not run any more (a failed child, for example).
    await redis.hset(key(byBullMQ), "defa", "child failed");

    const env = {
      MIRUMOJI_HANDLER: join(root, "support/handler.py"),
      MIRUMOJI_HEARTBEAT: "0.5",
      MIRUMOJI_LEASE: "1",
    };
    const workers = await Promise.all([stack.startWorker(env), stack.startWorker(env)]);
    const counts = async () => {
      const scrapes = await Promise.all(
        workers.map(async ({ ready }) => await (await fetch(`${ready.apiUrl}/metrics`)).text()),
      );
      const sum: Record<string, number> = {};
      for (const line of scrapes.flatMap((scrape) => scrape.split("\n"))) {
        const [, labels = "", value = "0"] = /^mirumoji_jobs_finished_total\{(.*)\} (\d+)$/u.exec(line) ?? [];
        if (Number(value) > 0) sum[labels] = (sum[labels] ?? 0) + Number(value);
      }
      return sum;
    };
    const wanted = {
      'type="transcribe",status="cancelled",code="CANCELLED"': 2,
      'type="convert",status="cancelled",code="CANCELLED"': 1,
      'type="transcribe",status="failed",code="UNEXPECTED"': 1,
    };
    await expect.poll(counts, { timeout: 20_000, interval: 100 }).toEqual(wanted);
    for (const id of [byCommand, byClient, halfCancelled]) {
      expect((await stack.client.get(id)).status).toBe("cancelled");
    }
    expect((await stack.client.get(byBullMQ)).error).toMatchObject({
      code: "UNEXPECTED",
      message: "child failed",
    });
    // A whole job later, and some rounds of the caretaker, it is still once.
    await stack.client.wait(await submit(), { pollMs: 50 });
    expect(await counts()).toEqual({ ...wanted, 'type="transcribe",status="completed",code="none"': 1 });
    const logs = workers.map((worker) => worker.log()).join("");
    expect(logs.match(/"job\.finished"/gu)).toHaveLength(5);
    expect(await redis.exists(`${PREFIX}:ended`)).toBe(0);
  } finally {
    redis.disconnect();
  }
});
