import { isJobType } from "../job/contract.ts";
import { budgetOf } from "../config/budget.ts";
import { pricedGpu } from "../config/gpu-prices.ts";
import type { Environment } from "../config/schema.ts";
import { isPlatformTrouble, toMirumojiError } from "../job/errors.ts";
import type { Elsewhere } from "../media/elsewhere/elsewhere.ts";
import { VERSION } from "../config/version.ts";
import { createTextEditor } from "../llm/editor.ts";
import { createMediaFiles } from "../media/media-files.ts";
import type { MediaRoot } from "../media/media-root.ts";
import { createTransferLimiter, MODEL_MOUNT, modalVolumes, modelVolume, reachModal } from "../modal/index.ts";
import { diskHealth } from "../pool/health.ts";
import type { Leftover } from "../pool/reaper.ts";
import type { PrefixClaim } from "../pool/prefix-claim.ts";
import { startWorkerPool, type WorkerPool } from "../pool/worker-pool.ts";
import { cancelLatency } from "../queue/cancel-latency.ts";
import { readPoolState } from "../queue/depth.ts";
import type { TextEditor } from "../ports/text-editor.ts";
import { HeldKey } from "../queue/held-key.ts";
import { keptTranscripts } from "../queue/kept-transcripts.ts";
import { openReplicas } from "../queue/replicas.ts";
import { findCarrier } from "../queue/trace-carrier.ts";
import type { RunnerTools } from "../runner/job-run.ts";
import type { RunJob } from "../runner/run-job.ts";
import { createEventBus } from "../telemetry/event-bus.ts";
import { logSubscriber } from "../telemetry/log-subscriber.ts";
import { watchedVolumes } from "../telemetry/watched-volumes.ts";
import { tokenRenewal } from "./modal.ts";
import type { WorkerPlatform } from "./worker-platform.ts";
import type { WorkerStore } from "./worker-store.ts";
import type { WorkerTelemetry } from "./worker-telemetry.ts";

export interface JobsParts {
  readonly root: MediaRoot;
  readonly elsewhere: Elsewhere;
  readonly store: WorkerStore;
  /** The same for what people wait for. */
  readonly shown: WorkerStore;
  readonly platform: WorkerPlatform;
  readonly claim: PrefixClaim;
  readonly telemetry: WorkerTelemetry;
  readonly run: RunJob;
}

/** Starts to take jobs, and shows them in the metrics. */
export function startJobs(environment: Environment, parts: JobsParts): WorkerPool {
  const { store, telemetry } = parts;
  const { logger, metrics } = telemetry;
  const concurrency = {
    transcribe: environment.MIRUMOJI_TRANSCRIBE_CONCURRENCY,
    convert: environment.MIRUMOJI_CONVERT_CONCURRENCY,
  };
  const pool = startWorkerPool({
    ...store,
    claim: parts.claim,
    replicas: openReplicas(store.redis, {
      prefix: store.prefix,
      wanted: environment.MIRUMOJI_REDIS_REPLICAS,
      waitMs: environment.MIRUMOJI_REDIS_REPLICAS_WAIT * 1000,
      onError: (error) => telemetry.warn(error, "replicas of Redis"),
    }),
    concurrency,
    leadership: new HeldKey(store.redis, `${store.prefix}:leader:caretaker`),
    run: parts.run,
    tracing: telemetry.tracing,
    heartbeatMs: environment.MIRUMOJI_HEARTBEAT * 1000,
    onReaped: reapedListener(store, telemetry),
    platform: {
      probing: new HeldKey(store.redis, `${store.prefix}:leader:probe`),
      probe: async (trouble) => {
        await reachModal(parts.platform.session, trouble);
        await parts.platform.runtime.get();
      },
      renewToken: tokenRenewal(environment, parts.platform.session),
      onChange: (hold, why) => {
        if (why === null) logger.info({ hold }, "Modal is well again");
        else logger.error({ hold }, `no jobs are taken: ${why}`);
      },
    },
    checkDisk: diskHealth(parts.root.path, environment.MIRUMOJI_MIN_FREE_DISK * 2 ** 20),
    onDisk: (problem) => {
      if (problem === null) logger.info("the disk is well again; jobs are taken");
      else logger.error({ code: "DISK_FULL" }, `no jobs are taken: ${problem}`);
    },
    onError: telemetry.warn,
    tools: runnerTools(environment, parts),
  });
  // Jobs need not be the first to find out.
  parts.platform.runtime.get().catch(async (thrown: unknown) => {
    const error = toMirumojiError(thrown);
    if (isPlatformTrouble(error)) await pool.report(error).catch(() => undefined);
  });
  metrics.showHolds(() => pool.holds());
  metrics.showSlots({ jobs: concurrency, transfers: environment.MIRUMOJI_MAX_TRANSFERS }, (type) =>
    pool.activeCount(type),
  );
  metrics.showPool(async () => await readPoolState(parts.shown, store.now()));
  return pool;
}

function runnerTools(
  environment: Environment,
  { root, elsewhere, store, platform, telemetry: { logger, metrics, tracing } }: JobsParts,
): Omit<RunnerTools, "platform"> {
  const transfers = createTransferLimiter({ maxTransfers: environment.MIRUMOJI_MAX_TRANSFERS });
  const cancels = cancelLatency(store.redis, store.prefix, {
    now: store.now,
    observe: metrics.observeCancel,
    onError: (error) => logger.debug({ err: error }, "the latency of a cancel is not known"),
  });
  const prices = {
    transcribe: pricedGpu(environment, "transcribe"),
    convert: pricedGpu(environment, "convert"),
  };
  return {
    volumes: watchedVolumes(modalVolumes(platform.session, transfers), [
      metrics.watchTransfer,
      tracing.watchTransfer,
    ]),
    apps: platform.apps,
    calls: platform.calls,
    partCalls: platform.partCalls,
    cacheSeconds: environment.MIRUMOJI_CACHE,
    cacheMark: JSON.stringify([VERSION, environment.MIRUMOJI_MODAL_IMAGE, environment.MIRUMOJI_HANDLER]),
    parallel: {
      containers: environment.MIRUMOJI_PARALLEL,
      startSeconds: environment.MIRUMOJI_PARALLEL_START,
    },
    engines: platform.engines,
    media: createMediaFiles(root, elsewhere),
    transcripts: keptTranscripts(store.redis, store.prefix, {
      ttlMs: environment.MIRUMOJI_KEEP_SEGMENTS * 1000,
      limitBytes: environment.MIRUMOJI_KEEP_SEGMENTS_LIMIT * 2 ** 20,
    }),
    runtime: async (signal) => await platform.runtime.get(signal),
    callDeadlineMs: environment.MIRUMOJI_CALL_WAIT * 1000,
    uploadAudioOnly: environment.MIRUMOJI_UPLOAD_AUDIO_ONLY,
    models: {
      model: environment.MIRUMOJI_WHISPER_MODEL,
      device: environment.MIRUMOJI_WHISPER_DEVICE,
      computeType: environment.MIRUMOJI_WHISPER_COMPUTE_TYPE,
      allowed: environment.MIRUMOJI_WHISPER_MODELS ?? [],
      cache: modelVolume(environment) === undefined ? undefined : MODEL_MOUNT,
    },
    editor: textEditor(environment),
    queueWaitMs: environment.MIRUMOJI_QUEUE_WAIT * 1000,
    jobDeadlineMs: environment.MIRUMOJI_JOB_DEADLINE * 1000,
    keepFailedMs: environment.MIRUMOJI_KEEP_FAILED * 1000,
    now: store.now,
    price: (type) => prices[type],
    budget: budgetOf(environment),
    random: Math.random,
    emit: createEventBus([logSubscriber(logger), metrics.subscriber, cancels, tracing.subscriber], (error) =>
      logger.error({ err: error }, "an event subscriber failed"),
    ),
  };
}

function textEditor(environment: Environment): TextEditor | null {
  const { MIRUMOJI_LLM_URL: url, MIRUMOJI_LLM_KEY: key, MIRUMOJI_LLM_MODEL: model } = environment;
  return url === undefined
    ? null
    : createTextEditor({ url, key, model }, environment.MIRUMOJI_LLM_PRICES ?? null);
}

/** Logs and counts a volume that was left behind, and ends the trace of its job. */
function reapedListener(
  { redis, prefix, queues }: WorkerStore,
  { logger, metrics, tracing }: WorkerTelemetry,
): (leftover: Leftover) => void {
  return ({ volume, reason, problem }) => {
    const { queue, jobId, volumeId, callId } = volume;
    metrics.observeReaped(reason, problem === null);
    logger.warn(
      { volumeId, jobId, callId, reason },
      problem === null ? "removed a leftover volume" : `a leftover volume stays: ${problem}`,
    );
    if (!isJobType(queue)) return;
    const find = async () => await findCarrier(redis, queues[queue], { prefix, jobId });
    void tracing.traceCommand("reap", { queue, jobId }, find, async (answered) => answered(reason));
  };
}
