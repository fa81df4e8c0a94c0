import type { Tracing } from "../telemetry/trace-contract.ts";
import { NO_TRACING } from "../telemetry/tracing.ts";
import { batchSubmitSchema } from "../job/batch.ts";
import { MirumojiError } from "../job/errors.ts";
import { openBatches } from "./batches.ts";
import { closeRedis, connectClientRedis, type RedisConnection, type RedisSettings } from "./connection.ts";
import { type BatchJobs, followBatches } from "../client/batches.ts";
import type { Jobs } from "../client/contract.ts";
import type { JobIndex } from "./job-index.ts";
import { openJobParts } from "./job-parts.ts";
import type { JobReader } from "./job-reader.ts";
import { createRedisJobs } from "./redis-jobs.ts";
import { type Ledger, openLedger } from "./ledger.ts";
import { closeQueues, openQueues, type Queues } from "./queues.ts";

/** A connection for programs that submit and look at jobs. */
export interface RedisClient extends AsyncDisposable {
  readonly queues: Queues;
  readonly jobs: Jobs;
  readonly batches: BatchJobs;
  readonly ledger: Ledger;
  /** Where more is read about jobs. */
  readonly source: {
    readonly redis: RedisConnection;
    readonly reader: JobReader;
    readonly index: JobIndex;
    readonly prefix: string;
  };
}

/**
 * `tracing` is closed with the client.
 *
 * @throws MirumojiError `REDIS_UNAVAILABLE`
 */
export async function openRedisClient(
  environment: RedisSettings & { readonly MIRUMOJI_QUEUE_PREFIX: string },
  tracing: Tracing = NO_TRACING,
): Promise<RedisClient> {
  const redis = await connectClientRedis(environment);
  const prefix = environment.MIRUMOJI_QUEUE_PREFIX;
  const queues = openQueues(redis, prefix);
  const parts = openJobParts(redis, queues, { prefix, onError: () => undefined });
  const jobs = createRedisJobs(redis, queues, prefix, tracing, parts);
  const batches = openBatches({ redis, prefix, queues, index: parts.index }, jobs);
  return {
    queues,
    jobs,
    batches: {
      ...batches,
      ...followBatches(async (id) => await batches.get(id)),
      submit: async (batch, extra) => await batches.submit(checked(batch), extra),
    },
    ledger: openLedger(redis, queues, prefix),
    source: { redis, reader: parts.reader, index: parts.index, prefix },
    [Symbol.asyncDispose]: async () => {
      await closeQueues(queues);
      closeRedis(redis);
      await tracing.close();
    },
  };
}

/** @throws MirumojiError `REQUEST_INVALID` */
function checked(batch: unknown) {
  const parsed = batchSubmitSchema.safeParse(batch);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.join(".") ?? "";
  throw new MirumojiError("REQUEST_INVALID", `the batch: ${where}: ${issue?.message ?? ""}`);
}
