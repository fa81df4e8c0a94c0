import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { z } from "zod";
import { hasErrno } from "./media-root.ts";

const run = promisify(execFile);
const PROBE_TIMEOUT_MS = 60_000;

/** What is in a media file. */
export interface Probe {
  /** Kinds of streams, such as `audio`; none when it is not media. Cover pictures do not count as video. */
  readonly streams: ReadonlySet<string>;
  /** How long it plays, or null where the file does not say. */
  readonly seconds: number | null;
}

const NOT_MEDIA: Probe = { streams: new Set(), seconds: null };

const probeSchema = z.object({
  streams: z
    .array(
      z.object({
        codec_type: z.string().optional(),
        disposition: z.object({ attached_pic: z.number() }).partial().optional(),
      }),
    )
    .default([]),
  format: z.object({ duration: z.coerce.number().positive().optional().catch(undefined) }).default({}),
});

/**
 * Looks into a file; null when there is no ffprobe on this machine. Only local files can be named: the
 * protocol is fixed.
 */
export async function probe(path: string, signal: AbortSignal): Promise<Probe | null> {
  const wanted = ["-show_streams", "-show_format", "-of", "json"];
  const args = ["-v", "error", "-protocol_whitelist", "file", ...wanted, `file:${path}`];
  try {
    const { stdout } = await run("ffprobe", args, {
      signal,
      timeout: PROBE_TIMEOUT_MS,
      maxBuffer: 16 * 1024 * 1024,
    });
    const { streams, format } = probeSchema.parse(JSON.parse(stdout));
    const real = streams.filter((stream) => stream.disposition?.attached_pic !== 1);
    return {
      streams: new Set(real.flatMap((stream) => stream.codec_type ?? [])),
      seconds: format.duration ?? null,
    };
  } catch (error) {
    signal.throwIfAborted();
    if (hasErrno(error, "ENOENT")) return null;
    return NOT_MEDIA;
  }
}
