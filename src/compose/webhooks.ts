import type { Environment } from "../config/schema.ts";
import { secretValues } from "../config/secrets.ts";
import { VERSION } from "../config/version.ts";
import { openOutbound, type Outbound } from "../net/outbound.ts";
import { startWebhookSender } from "../pool/webhook-sender.ts";
import { openApiKeys } from "../queue/api-keys.ts";
import type { RedisConnection } from "../queue/connection.ts";
import { openOutbox } from "../queue/outbox.ts";
import { redisClock } from "../queue/redis-clock.ts";
import { openWebhookSecrets } from "../queue/webhook-secrets.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { createRedactor } from "../telemetry/redact.ts";

const CONNECT_MS = 5000;

export interface RunningWebhooks {
  /** For other requests to addresses that callers chose. */
  readonly outbound: Outbound;
  stop(): Promise<void>;
}

/** Sends the webhooks of ended jobs, as every process that lasts does. */
export function startWebhooks(
  environment: Environment,
  { redis, logger, metrics }: { redis: RedisConnection; logger: Logger; metrics: Metrics },
): RunningWebhooks {
  const prefix = environment.MIRUMOJI_QUEUE_PREFIX;
  const outbound = openOutbound({
    privateNetworks: environment.MIRUMOJI_PRIVATE_NETWORKS,
    connectMs: CONNECT_MS,
  });
  // Processes that share an outbox share its times.
  const now = () => redisClock(redis).now();
  const sender = startWebhookSender({
    outbox: openOutbox(redis, prefix),
    keys: openApiKeys(redis, prefix, now),
    secrets: openWebhookSecrets(redis, prefix, now),
    outbound,
    leaseMs: environment.MIRUMOJI_LEASE * 1000,
    userAgent: `mirumoji-worker/${VERSION}`,
    redact: createRedactor(secretValues(environment)),
    onTry: ({ outcome, error, ...what }) => {
      metrics.observeWebhook(outcome);
      if (outcome === "delivered") logger.debug(what, "webhook delivered");
      else if (outcome === "failed") logger.info(what, `webhook not delivered: ${error}`);
      else logger.error(what, `webhook given up: ${error}`);
    },
    onError: (error) => {
      if (redis.status === "ready") logger.warn({ err: error }, "webhooks");
    },
    now,
    random: Math.random,
  });
  return {
    outbound,
    async stop() {
      await sender.stop();
      await outbound.close();
    },
  };
}
