import { isJobType } from "../job/contract.ts";
import { pricedGpu } from "../config/gpu-prices.ts";
import type { Environment } from "../config/schema.ts";
import { tracingSettings } from "../config/tracing.ts";
import { VERSION } from "../config/version.ts";
import { toMirumojiError } from "../job/errors.ts";
import type { Served } from "../http/server.ts";
import { createMediaFiles } from "../media/media-files.ts";
import { openMediaRoot } from "../media/media-root.ts";
import {
  createRuntimeHolder,
  createTransferLimiter,
  imageFunctions,
  modalApps,
  modalCalls,
  modalVolumes,
  openRuntime,
  sayHello,
} from "../modal/index.ts";
import { diskHealth, workerHealth } from "../pool/health.ts";
import type { Leftover } from "../pool/reaper.ts";
import { startWorkerPool } from "../pool/worker-pool.ts";
import { closeRedis, connectLastingRedis, pingRedis } from "../queue/connection.ts";
import { createAppShare } from "../queue/app-share.ts";
import { cancelLatency } from "../queue/cancel-latency.ts";
import { readPoolState } from "../queue/depth.ts";
import { createJobInspector } from "../queue/job-details.ts";
import { createJobStore } from "../queue/job-store.ts";
import { HeldKey } from "../queue/held-key.ts";
import { findCarrier } from "../queue/trace-carrier.ts";
import { openLedger } from "../queue/ledger.ts";
import { closeQueues, openQueues } from "../queue/queues.ts";
import { type RunJob, runJob } from "../runner/run-job.ts";
import type { SpeechModels } from "../steps/speech-models.ts";
import { watchedVolumes } from "../telemetry/watched-volumes.ts";
import { createEventBus } from "../telemetry/event-bus.ts";
import { logSubscriber } from "../telemetry/log-subscriber.ts";
import type { Logger } from "../telemetry/logger.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { openTracing } from "../telemetry/tracing.ts";
import { openFront } from "./front.ts";
import { HANDLER_PATH, openSession } from "./modal.ts";

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
  const gpu = pricedGpu(environment);
  const metrics = createMetrics({ version: VERSION, gpu, now: Date.now });
  const tracing = await openTracing(tracingSettings(environment), {
    role: "worker",
    version: VERSION,
    onProblem: (message) => logger.warn(message),
  });
  const session = openSession(environment, {
    onRpc: (event) => {
      metrics.observeRpc(event);
      tracing.observeRpc(event);
    },
    onWarning: (message) => logger.warn(message),
  });
  const redis = await connectLastingRedis(environment.REDIS_URL, (error) =>
    logger.warn({ err: error }, "Redis connection"),
  );
  const prefix = environment.MIRUMOJI_QUEUE_PREFIX;
  const queues = openQueues(redis, prefix);
  const leaseMs = environment.MIRUMOJI_LEASE * 1000;
  const share = createAppShare(redis, { prefix, leaseMs, now: Date.now });
  const deployedApps = new Set<string>();
  let isStopping = false;
  const runtime = createRuntimeHolder(async (signal) => {
    const opened = await openRuntime(session, environment, {
      share,
      handlerPath: HANDLER_PATH,
      signal,
      onLog: (line) => logger.info({ image: environment.MIRUMOJI_MODAL_IMAGE }, line),
      onHeartbeatError: (error, appId) => {
        logger.warn({ code: error.code }, `app heartbeat: ${error.message}`);
        if (error.code === "APP_LOST") runtime.forget(appId);
      },
    });
    if (environment.MODAL_APP_MODE !== "ephemeral") deployedApps.add(opened.appId);
    return opened;
  }, imageFunctions(environment));
  // Registered ahead of the first job; a failure shows again, with its code, in the job that needs it.
  runtime.get().then(
    ({ appId }) => logger.info({ appId }, "functions are registered"),
    (error: unknown) => {
      const { code, message } = toMirumojiError(error);
      if (isStopping) return;
      logger.error({ code }, `functions cannot be registered: ${message}`);
    },
  );
  const ledger = openLedger(redis, queues, prefix);
  const minFreeBytes = environment.MIRUMOJI_MIN_FREE_DISK * 2 ** 20;
  const concurrency = {
    transcribe: environment.MIRUMOJI_TRANSCRIBE_CONCURRENCY,
    convert: environment.MIRUMOJI_CONVERT_CONCURRENCY,
  };
  const cancels = cancelLatency(redis, prefix, {
    now: Date.now,
    observe: metrics.observeCancel,
    onError: (error) => logger.debug({ err: error }, "the latency of a cancel is not known"),
  });
  const transfers = createTransferLimiter({ maxTransfers: environment.MIRUMOJI_MAX_TRANSFERS });
  /** The trace of a job ends where its volume does. */
  const traceReaped = ({ queue, jobId }: Leftover["volume"], reason: string) => {
    if (!isJobType(queue)) return;
    const find = async () => await findCarrier(redis, queues[queue], { prefix, jobId });
    void tracing.traceCommand("reap", { queue, jobId }, find, async (answered) => answered(reason));
  };
  const pool = startWorkerPool({
    redis,
    prefix,
    queues,
    ledger,
    concurrency,
    leadership: new HeldKey(redis, `${prefix}:leader:caretaker`),
    leaseMs,
    run,
    tracing,
    heartbeatMs: environment.MIRUMOJI_HEARTBEAT * 1000,
    onReaped: ({ volume, reason, problem }) => {
      metrics.observeReaped(reason, problem === null);
      logger.warn(
        { volumeId: volume.volumeId, jobId: volume.jobId, callId: volume.callId, reason },
        problem === null ? "removed a leftover volume" : `a leftover volume stays: ${problem}`,
      );
      traceReaped(volume, reason);
    },
    checkDisk: diskHealth(root.path, minFreeBytes),
    onDisk: (problem) => {
      if (problem === null) logger.info("the disk is well again; jobs are taken");
      else logger.error({ code: "DISK_FULL" }, `no jobs are taken: ${problem}`);
    },
    onError: (error, context) => logger.warn({ err: error }, `${context}: ${toMirumojiError(error).message}`),
    tools: {
      volumes: watchedVolumes(modalVolumes(session, transfers), [
        metrics.watchTransfer,
        tracing.watchTransfer,
      ]),
      apps: modalApps(session, { isDeployed: (appId) => deployedApps.has(appId) }),
      calls: modalCalls(session, { onFunctionLost: (functionId) => runtime.forget(functionId) }),
      media: createMediaFiles(root),
      runtime: async (signal) => await runtime.get(signal),
      callDeadlineMs: environment.MIRUMOJI_CALL_WAIT * 1000,
      uploadAudioOnly: environment.MIRUMOJI_UPLOAD_AUDIO_ONLY,
      models: speechModels(environment),
      queueWaitMs: environment.MIRUMOJI_QUEUE_WAIT * 1000,
      jobDeadlineMs: environment.MIRUMOJI_JOB_DEADLINE * 1000,
      now: Date.now,
      random: Math.random,
      emit: createEventBus(
        [logSubscriber(logger), metrics.subscriber, cancels, tracing.subscriber],
        (error) => logger.error({ err: error }, "an event subscriber failed"),
      ),
    },
  });
  metrics.showSlots({ jobs: concurrency, transfers: environment.MIRUMOJI_MAX_TRANSFERS }, (type) =>
    pool.activeCount(type),
  );
  metrics.showPool(async () => await readPoolState({ redis, queues, ledger }, Date.now()));
  const warn = (error: unknown, what: string) => logger.warn({ err: error }, what);
  return {
    queues,
    store: createJobStore(redis, queues, prefix, tracing),
    ...(withApi
      ? {
          api: openFront({
            redis,
            queues,
            prefix,
            mediaRoot: root,
            tracing,
            maxUploadBytes: environment.MIRUMOJI_MAX_UPLOAD * 2 ** 20,
            onError: warn,
          }),
        }
      : {}),
    metrics,
    inspect: createJobInspector(redis, queues, prefix),
    mediaRoot: root,
    health: workerHealth({
      ping: async () => await pingRedis(redis),
      isStopping: () => isStopping,
      sincePollMs: () => pool.sincePollMs(),
      register: async () => await runtime.get(),
      sayHello: async () => await sayHello(session),
      mediaRoot: root.path,
      minFreeBytes,
    }),
    activeCount: () => pool.activeCount(),
    async stop() {
      isStopping = true;
      await pool.stop();
      await runtime.close();
      await closeQueues(queues);
      closeRedis(redis);
      session.close();
      await tracing.close();
    },
  };
}

function speechModels(environment: Environment): SpeechModels {
  return {
    model: environment.MIRUMOJI_WHISPER_MODEL,
    device: environment.MIRUMOJI_WHISPER_DEVICE,
    computeType: environment.MIRUMOJI_WHISPER_COMPUTE_TYPE,
    allowed: environment.MIRUMOJI_WHISPER_MODELS ?? [],
  };
}
