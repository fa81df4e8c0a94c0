import type { Environment } from "../config/schema.ts";
import type { ApiServices } from "../http/v1/services.ts";
import type { Outbound } from "../net/outbound.ts";
import type { MediaRoot } from "../media/media-root.ts";
import { openApiKeys } from "../queue/api-keys.ts";
import { openAuditLog } from "../queue/audit-log.ts";
import { openBatches } from "../queue/batches.ts";
import type { RedisConnection } from "../queue/connection.ts";
import { openCookieSessions } from "../queue/cookie-sessions.ts";
import { openJobParts } from "../queue/job-parts.ts";
import { createRedisJobs } from "../queue/redis-jobs.ts";
import { apiKeys } from "../queue/keys.ts";
import type { Queues } from "../queue/queues.ts";
import { redisClock } from "../queue/redis-clock.ts";
import type { Tracing } from "../telemetry/trace-contract.ts";
import { openTranscripts } from "./transcripts.ts";

/** So many of each list are looked through when the API starts, for jobs that other programs queued. */
const TAKEN_UP_AT_START = 1_000_000;

export interface FrontParts {
  readonly redis: RedisConnection;
  readonly queues: Queues;
  readonly prefix: string;
  readonly mediaRoot: MediaRoot | null;
  readonly tracing: Tracing;
  readonly outbound: Outbound;
  readonly maxUploadBytes: number;
  readonly uploads: ApiServices["uploads"];
  readonly onError: (error: unknown, what: string) => void;
}

/** Limits of what is sent to the API. */
export function uploadLimits(environment: Environment): Pick<FrontParts, "maxUploadBytes" | "uploads"> {
  return {
    maxUploadBytes: environment.MIRUMOJI_MAX_UPLOAD * 2 ** 20,
    uploads: {
      maxBytes: environment.MIRUMOJI_MAX_RESUMABLE * 2 ** 20,
      expiryMs: environment.MIRUMOJI_UPLOAD_EXPIRY * 1000,
    },
  };
}

/** Services of the HTTP API; they close with the connection to Redis. */
export function openFront({ redis, queues, prefix, tracing, ...rest }: FrontParts): ApiServices {
  const { onError } = rest;
  const parts = openJobParts(redis, queues, {
    prefix,
    onError: (error) => onError(error, "the feed of changes"),
  });
  const keys = openApiKeys(redis, prefix, () => redisClock(redis).now());
  // Later requests are served all the same; the log line explains why lists may be short until then.
  const takeUp = async () => {
    await parts.feed.start();
    await parts.index.takeUpNewest(TAKEN_UP_AT_START);
  };
  takeUp().catch((error: unknown) => {
    if (redis.status === "ready") onError(error, "jobs of other programs are not taken up yet");
  });
  const jobs = createRedisJobs(redis, queues, prefix, tracing, parts);
  return {
    jobs,
    batches: openBatches({ redis, prefix, queues, index: parts.index }, jobs),
    feed: parts.feed,
    transcripts: openTranscripts({ redis, reader: parts.reader, prefix, mediaRoot: rest.mediaRoot }),
    keys,
    sessions: openCookieSessions(redis, prefix, keys),
    audit: openAuditLog(redis, prefix),
    limits: { redis, namespace: apiKeys(prefix).limits },
    ...rest,
  };
}
