/** The composition root of the process that serves people and Prometheus, and runs no job. */
import type { Environment } from "../config/schema.ts";
import { tracingSettings } from "../config/tracing.ts";
import { VERSION } from "../config/version.ts";
import type { Served } from "../http/server.ts";
import type { ApiServices } from "../http/v1/services.ts";
import { type MediaRoot, openMediaRoot } from "../media/media-root.ts";
import { redisHealth } from "../pool/health.ts";
import { closeRedis, connectPromptRedis, probeRedis } from "../queue/connection.ts";
import { readPoolState } from "../queue/depth.ts";
import { openPoolPause } from "../queue/pool-pause.ts";
import { createJobInspector } from "../queue/job-details.ts";
import { openLedger } from "../queue/ledger.ts";
import { closeQueues, openQueues } from "../queue/queues.ts";
import { redisClock } from "../queue/redis-clock.ts";
import type { Logger } from "../telemetry/logger.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { seldomWarn } from "../telemetry/seldom.ts";
import { openTracing } from "../telemetry/tracing.ts";
import { openFront, uploadLimits } from "./front.ts";
import { startWebhooks } from "./webhooks.ts";

export interface RunningApi extends Served {
  readonly api: ApiServices;
  stop(): Promise<void>;
}

/** @throws MirumojiError `REDIS_UNAVAILABLE` */
export async function openApi(environment: Environment, logger: Logger): Promise<RunningApi> {
  const prefix = environment.MIRUMOJI_QUEUE_PREFIX;
  const mediaRoot = await openedMediaRoot(environment.HOST_MEDIA_PATH, logger);
  const warn = seldomWarn(logger, () => performance.now());
  const redis = await connectPromptRedis(environment, (error) => warn(error, "Redis connection"));
  const tracing = await openTracing(tracingSettings(environment), {
    role: "api",
    version: VERSION,
    onProblem: (message) => logger.warn(message),
  });
  const queues = openQueues(redis, prefix);
  const ledger = openLedger(redis, queues, prefix);
  const pause = openPoolPause(redis, prefix);
  const clock = redisClock(redis);
  await clock.ready();
  const metrics = createMetrics({ version: VERSION, gpu: null, now: Date.now });
  metrics.showPool(async () => await readPoolState({ redis, prefix, queues, ledger, pause }, clock.now()));
  const webhooks = startWebhooks(environment, { redis, logger, metrics });
  const api = openFront({
    redis,
    queues,
    prefix,
    mediaRoot,
    tracing,
    outbound: webhooks.outbound,
    ...uploadLimits(environment),
    onError: warn,
  });
  return {
    queues,
    api,
    jobs: api.jobs,
    inspect: createJobInspector(redis, queues, prefix),
    mediaRoot,
    metrics,
    health: { redis: redisHealth(async () => await probeRedis(redis, prefix)) },
    async stop() {
      await webhooks.stop();
      await closeQueues(queues);
      closeRedis(redis);
      await tracing.close();
    },
  };
}

/** Outputs can be looked at only where the media root is mounted; everything else works without. */
async function openedMediaRoot(folder: string, logger: Logger): Promise<MediaRoot | null> {
  try {
    return await openMediaRoot(folder);
  } catch {
    logger.info({ folder }, "there is no media root here; outputs are not served");
    return null;
  }
}
