import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { z } from "zod";
import { SAFE_INPUT } from "./input-formats.ts";
import { hasErrno } from "./errno.ts";

const run = promisify(execFile);
const PROBE_TIMEOUT_MS = 60_000;

/** Content of a media file. */
export interface Probe {
  /** Kinds of streams, such as `audio`; none when it is not media. Cover pictures do not count as video. */
  readonly streams: ReadonlySet<string>;
  /** How long it plays, or null where the file does not say. */
  readonly seconds: number | null;
  /** The timestamp that a player shows as 0: that of the stream that begins first. */
  readonly startSeconds: number;
  /** The first audio stream that can be decoded, which is the one that the handler transcribes. */
  readonly audio: AudioStream | null;
}

export interface AudioStream {
  readonly index: number;
  /** How long it says it is, or null where it does not. */
  readonly seconds: number | null;
}

const NOT_MEDIA: Probe = { streams: new Set(), seconds: null, startSeconds: 0, audio: null };

const duration = z.coerce.number().positive().optional().catch(undefined);

const probeSchema = z.object({
  streams: z
    .array(
      z.object({
        index: z.number(),
        codec_type: z.string().optional(),
        codec_name: z.string().optional(),
        duration,
        disposition: z.object({ attached_pic: z.number() }).partial().optional(),
      }),
    )
    .default([]),
  format: z.object({ duration, start_time: z.coerce.number().catch(0).default(0) }).prefault({}),
});

/**
 * Looks into a file; null when there is no ffprobe on this machine. Only local files can be named: the
 * protocol is fixed.
 */
export async function probe(path: string, signal: AbortSignal): Promise<Probe | null> {
  const wanted = ["-show_streams", "-show_format", "-of", "json"];
  const args = ["-v", "error", ...SAFE_INPUT, ...wanted, `file:${path}`];
  try {
    const { stdout } = await run("ffprobe", args, {
      signal,
      timeout: PROBE_TIMEOUT_MS,
      maxBuffer: 16 * 1024 * 1024,
    });
    const { streams, format } = probeSchema.parse(JSON.parse(stdout));
    const real = streams.filter((stream) => stream.disposition?.attached_pic !== 1);
    const audio = real.find(
      ({ codec_type: type, codec_name: name }) =>
        type === "audio" && name !== undefined && name !== "unknown",
    );
    return {
      streams: new Set(real.flatMap((stream) => stream.codec_type ?? [])),
      seconds: format.duration ?? null,
      startSeconds: format.start_time,
      audio: audio === undefined ? null : { index: audio.index, seconds: audio.duration ?? null },
    };
  } catch (error) {
    signal.throwIfAborted();
    if (hasErrno(error, "ENOENT")) return null;
    return NOT_MEDIA;
  }
}
