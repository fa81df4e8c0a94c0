import type { Environment } from "../config/schema.ts";
import type { Served } from "../http/server.ts";
import { openElsewhere } from "../media/elsewhere/elsewhere.ts";
import { openMediaRoot } from "../media/media-root.ts";
import { identify, sayHello } from "../modal/index.ts";
import { workerHealth } from "../pool/health.ts";
import { PrefixClaim } from "../pool/prefix-claim.ts";
import { openOutbound } from "../net/outbound.ts";
import { connectLastingRedis, connectPromptRedis, probeRedis, unlessGone } from "../queue/connection.ts";
import { createJobInspector } from "../queue/job-details.ts";
import { openPlatformClaim } from "../queue/platform-claim.ts";
import { createRedisJobs } from "../queue/redis-jobs.ts";
import { type RunJob, runJob } from "../runner/run-job.ts";
import type { Logger } from "../telemetry/logger.ts";
import { openFront, uploadLimits } from "./front.ts";
import { startJobs } from "./worker-jobs.ts";
import { openObservedSession, openPlatform } from "./worker-platform.ts";
import { startWebhooks } from "./webhooks.ts";
import { openStore } from "./worker-store.ts";
import { openTelemetry } from "./worker-telemetry.ts";

/** Longest wait for a connection to the server of an input. */
const CONNECT_MS = 10_000;

/** Everything that runs jobs in this process. */
export interface RunningWorker extends Served {
  activeCount(): number;
  /** Hands running jobs back, then closes every connection. */
  stop(): Promise<void>;
}

/**
 * Starts a worker pool. `withApi`: this process serves the HTTP API too, as `dev` does.
 *
 * @throws MirumojiError `CONFIG_INVALID`, `REDIS_UNAVAILABLE`
 */
export async function openWorker(
  environment: Environment,
  logger: Logger,
  { run = runJob, withApi = false }: { readonly run?: RunJob; readonly withApi?: boolean } = {},
): Promise<RunningWorker> {
  const root = await openMediaRoot(environment.HOST_MEDIA_PATH);
  const telemetry = await openTelemetry(environment, logger);
  const session = openObservedSession(environment, telemetry);
  const store = await openStore(environment, telemetry, connectLastingRedis);
  // Pages and checks must not wait for Redis as jobs do.
  const shown = await openStore(environment, telemetry, connectPromptRedis);
  const claim = new PrefixClaim({
    claim: openPlatformClaim(store.redis, store.prefix),
    identify: async () => await identify(session, environment.MODAL_SERVER_URL),
    onChange: (problem) => {
      if (problem === null) logger.info("the queues belong to this Modal server; jobs are taken");
      else logger.error(`no jobs are taken: ${problem}`);
    },
    onError: (error) => telemetry.warn(error, "claim of the queues"),
  });
  const platform = openPlatform(environment, session, store, logger, claim);
  const elsewhere = openElsewhere({
    outbound: openOutbound({
      privateNetworks: environment.MIRUMOJI_PRIVATE_NETWORKS,
      connectMs: CONNECT_MS,
    }),
    connections: environment.MIRUMOJI_S3_CONNECTIONS,
    maxBytes: environment.MIRUMOJI_MAX_INPUT * 2 ** 20,
  });
  const pool = startJobs(environment, { root, elsewhere, store, shown, platform, claim, telemetry, run });
  const { redis, queues, prefix } = shown;
  const { metrics, tracing } = telemetry;
  const webhooks = startWebhooks(environment, { redis, logger, metrics });
  const front = () =>
    openFront({
      redis,
      queues,
      prefix,
      mediaRoot: root,
      tracing,
      outbound: webhooks.outbound,
      ...uploadLimits(environment),
      onError: telemetry.warn,
    });
  let isStopping = false;
  const health = workerHealth({
    probeRedis: async () => await probeRedis(redis, prefix),
    isStopping: () => isStopping,
    sincePollMs: () => pool.sincePollMs(),
    holds: () => pool.holds(),
    register: async () => await platform.runtime.get(),
    sayHello: async () => await sayHello(session),
    mediaRoot: root.path,
    minFreeBytes: environment.MIRUMOJI_MIN_FREE_DISK * 2 ** 20,
  });
  const { redis: writes, disk, consumers } = health;
  metrics.showChecks({ redis: writes, disk, consumers });
  return {
    queues,
    jobs: createRedisJobs(redis, queues, prefix, tracing),
    ...(withApi ? { api: front() } : {}),
    metrics,
    inspect: createJobInspector(redis, queues, prefix),
    mediaRoot: root,
    health,
    activeCount: () => pool.activeCount(),
    async stop() {
      isStopping = true;
      if (!(await unlessGone(store.redis, pool.stop()))) {
        logger.warn(
          "Redis does not answer; the jobs that ran here are taken over when their leases have run out",
        );
      }
      await webhooks.stop();
      await elsewhere.close();
      await platform.close().catch((error: unknown) => telemetry.warn(error, "leaving the app"));
      await store.close();
      await shown.close();
      await tracing.close();
    },
  };
}
