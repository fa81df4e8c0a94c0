import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, describe, it } from "vitest";
import type { JobSummary } from "../../src/job/summary.ts";
import { openOutbound } from "../../src/net/outbound.ts";
import { startWebhookSender } from "../../src/pool/webhook-sender.ts";
import { openWebhookSecrets } from "../../src/queue/webhook-secrets.ts";
import { openOutbox } from "../../src/queue/outbox.ts";
import { programFile } from "../../support/programs.ts";
import { type Receiver, startReceiver } from "../helpers/http/receiver.ts";
import { startTestServer, type TestServer } from "../helpers/http/server.ts";

const DONE: JobSummary = {
  v: 1,
  state: "completed",
  status: "completed",
  states: [],
  outputs: [],
  error: null,
};
/** Moments of a delivery, with how many events at most come twice when their sender, which has two in hand, dies there. */
const MOMENTS = [
  ["claim:before", 0],
  ["claim:after", 0],
  ["settle:before", 2],
  ["settle:after", 1],
] as const;
const EVENTS = 8;
const LEASE_MS = 1500;

let receiver: Receiver;
const table: Record<string, Record<string, number>> = {};
beforeAll(async () => {
  receiver = await startReceiver();
});
afterAll(() => {
  receiver.close();
  console.table(table);
});

function startSender({ redisUrl, prefix }: TestServer, fault: string) {
  const child = spawn(process.execPath, [programFile("faulty-sender")], {
    stdio: ["ignore", "ignore", "pipe"],
    env: {
      ...process.env,
      REDIS_URL: redisUrl,
      PREFIX: prefix,
      SENDER_FAULT: fault,
      LEASE_MS: String(LEASE_MS),
    },
  });
  let log = "";
  child.stderr.on("data", (data: Buffer) => {
    log += data.toString();
  });
  return { child, log: () => log };
}

describe.concurrent("a process that sends webhooks and is killed", { timeout: 180_000 }, () => {
  it.for(MOMENTS)(
    "at %s: another delivers every event, under its one ID",
    async ([moment, mostTwice], { expect }) => {
      await using server = await startTestServer();
      const outbox = openOutbox(server.redis, server.prefix);
      const jobs: string[] = [];
      for (let count = 0; count < EVENTS; count += 1) {
        const input = `film-${count}.mkv`;
        const { id } = await server.jobs.submit("convert", { input, webhook: { url: receiver.url } });
        jobs.push(id);
        await server.finish("convert", DONE);
      }
      const victim = startSender(server, moment);
      await once(victim.child, "exit");
      expect(victim.child.signalCode, victim.log()).toBe("SIGKILL");
      expect(victim.log()).toContain(`reached ${moment}`);
      expect((await outbox.figures()).pending).toBeGreaterThanOrEqual(EVENTS - 2);
      // In the place of another process that sends.
      const outbound = openOutbound({ privateNetworks: ["127.0.0.1"], connectMs: 2000 });
      const rescuer = startWebhookSender({
        outbox,
        keys: server.api.keys,
        secrets: openWebhookSecrets(server.redis, server.prefix, Date.now),
        outbound,
        leaseMs: LEASE_MS,
        userAgent: "mirumoji-worker/0",
        redact: (text) => text,
        onTry: () => undefined,
        onError: () => undefined,
        now: Date.now,
        random: Math.random,
      });
      await expect.poll(async () => (await outbox.figures()).pending, { timeout: 60_000 }).toBe(0);
      await rescuer.stop();
      await outbound.close();
      const told = receiver.received.filter(({ event }) => jobs.includes(event.data.id));
      const ids = new Set(
        told.map(({ event, headers }) => `${event.data.id} ${String(headers["webhook-id"])}`),
      );
      expect(new Set(told.map(({ event }) => event.data.id)).size).toBe(EVENTS);
      expect(ids.size).toBe(EVENTS);
      expect(told.length - EVENTS).toBeLessThanOrEqual(mostTwice);
      const left = await server.redis.keys(`${server.prefix}:webhooks:*`);
      expect(left).toEqual([`${server.prefix}:webhooks:secrets`]);
      table[`sender killed at ${moment}`] = {
        events: EVENTS,
        delivered: ids.size,
        "told twice": told.length - EVENTS,
      };
    },
  );
});
