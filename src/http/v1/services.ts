import type { MediaRoot } from "../../media/media-root.ts";
import type { ApiKeys } from "../../queue/api-keys.ts";
import type { AuditLog } from "../../queue/audit-log.ts";
import type { Batches } from "../../queue/batches.ts";
import type { RedisConnection } from "../../queue/connection.ts";
import type { CookieSessions } from "../../queue/cookie-sessions.ts";
import type { JobFeed } from "../../queue/job-feed.ts";
import type { FinishedTranscripts } from "../../steps/finished-transcript.ts";
import type { Jobs } from "../../client/contract.ts";
import type { Outbound } from "../../net/outbound.ts";

/** Services that the API is built from. */
export interface ApiServices {
  readonly jobs: Jobs;
  readonly batches: Batches;
  readonly feed: JobFeed;
  readonly keys: ApiKeys;
  readonly audit: AuditLog;
  /** Cookies of the page's players, each of which stands for a key. */
  readonly sessions: CookieSessions;
  /** Transcripts of jobs that are over. */
  readonly transcripts: FinishedTranscripts;
  /** Says which addresses of callers may be used. */
  readonly outbound: Outbound;
  /** Where outputs are read from and uploads go; null where this process has no media root. */
  readonly mediaRoot: MediaRoot | null;
  /** Counts the requests of each key for all processes that serve the API. */
  readonly limits: { readonly redis: RedisConnection; readonly namespace: string };
  /** Longest file that comes in as a body. */
  readonly maxUploadBytes: number;
  /** Limits of resumable uploads. */
  readonly uploads: { readonly maxBytes: number; readonly expiryMs: number };
  readonly onError: (error: unknown, what: string) => void;
}
