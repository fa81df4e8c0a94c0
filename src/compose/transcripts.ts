import { randomUUID } from "node:crypto";
import type { TranscriptReader } from "../client/contract.ts";
import { parseReformat } from "../job/reformat.ts";
import { readOutputText } from "../media/finished-output.ts";
import { createMediaFiles } from "../media/media-files.ts";
import { type MediaRoot, openMediaRoot } from "../media/media-root.ts";
import { findClaim } from "../queue/claims.ts";
import type { RedisConnection } from "../queue/connection.ts";
import type { JobReader } from "../queue/job-reader.ts";
import { keptTranscripts } from "../queue/kept-transcripts.ts";
import type { RedisClient } from "../queue/redis-client.ts";
import { type FinishedTranscripts, finishedTranscripts } from "../steps/finished-transcript.ts";

interface TranscriptParts {
  readonly redis: RedisConnection;
  readonly reader: JobReader;
  readonly prefix: string;
  readonly mediaRoot: MediaRoot | null;
}

/** Transcripts of finished jobs, for processes that run none. */
export function openTranscripts({ redis, reader, prefix, mediaRoot }: TranscriptParts): FinishedTranscripts {
  return finishedTranscripts({
    kept: keptTranscripts(redis, prefix, null),
    media: mediaRoot === null ? null : createMediaFiles(mediaRoot),
    readOutput: async (output) => await readOutputText(mediaRoot, output),
    findClaim: async (places) => await findClaim(redis, reader, { prefix, places }),
    newId: randomUUID,
  });
}

/**
 * The same by the IDs of jobs. `folder` is the media root, where this program has it.
 *
 * @throws MirumojiError `CONFIG_INVALID` when the folder does not exist
 */
export async function openTranscriptReader(
  { source, jobs }: RedisClient,
  folder: string | null,
): Promise<TranscriptReader> {
  const mediaRoot = folder === null ? null : await openMediaRoot(folder);
  const transcripts = openTranscripts({ ...source, mediaRoot });
  return {
    readTranscript: async (id, format = "srt", layout = {}) =>
      await transcripts.text(await jobs.get(id), format, layout),
    async reformat(id, options) {
      const request = parseReformat(options);
      return await transcripts.write(await jobs.get(id), request);
    },
  };
}
