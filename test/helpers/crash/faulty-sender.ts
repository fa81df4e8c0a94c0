/** A process that does nothing but send webhooks, and kills itself at one named moment: `SENDER_FAULT=settle:before`. */
import { writeSync } from "node:fs";
import { openOutbound } from "../../../src/net/outbound.ts";
import { startWebhookSender } from "../../../src/pool/webhook-sender.ts";
import { openApiKeys } from "../../../src/queue/api-keys.ts";
import { connectLastingRedis } from "../../../src/queue/connection.ts";
import { openOutbox } from "../../../src/queue/outbox.ts";
import { openWebhookSecrets } from "../../../src/queue/webhook-secrets.ts";

const {
  REDIS_URL: url = "",
  PREFIX: prefix = "",
  SENDER_FAULT: fault = "",
  LEASE_MS: leaseMs = "",
} = process.env;
const redis = await connectLastingRedis({ REDIS_URL: url }, () => undefined);
const outbox = openOutbox(redis, prefix);
const reach = (point: string) => {
  if (point !== fault) return;
  writeSync(2, `reached ${point}\n`);
  process.kill(process.pid, "SIGKILL");
};

startWebhookSender({
  outbox: {
    ...outbox,
    async claim(count, ms) {
      reach("claim:before");
      const claims = await outbox.claim(Math.min(count, 2), ms);
      if (claims.length > 0) reach("claim:after");
      return claims;
    },
    async settle(claim, end) {
      // The receiver has answered.
      reach("settle:before");
      const isMine = await outbox.settle(claim, end);
      reach("settle:after");
      return isMine;
    },
  },
  keys: openApiKeys(redis, prefix, Date.now),
  secrets: openWebhookSecrets(redis, prefix, Date.now),
  outbound: openOutbound({ privateNetworks: ["127.0.0.1"], connectMs: 2000 }),
  leaseMs: Number(leaseMs),
  userAgent: "mirumoji-worker/0",
  redact: (text) => text,
  onTry: () => undefined,
  onError: (error) => {
    writeSync(2, `${String(error)}\n`);
  },
  now: Date.now,
  random: Math.random,
});
