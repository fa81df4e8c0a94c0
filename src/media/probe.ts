import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { z } from "zod";
import { hasErrno } from "./media-root.ts";

const run = promisify(execFile);
const PROBE_TIMEOUT_MS = 60_000;

const probeSchema = z.object({
  streams: z
    .array(
      z.object({
        codec_type: z.string().optional(),
        disposition: z.object({ attached_pic: z.number() }).partial().optional(),
      }),
    )
    .default([]),
});

/**
 * The kinds of streams in a file, empty when it is not media, or null when there is no ffprobe on this
 * machine. Cover pictures do not count as video. Only local files can be named: the protocol is fixed.
 */
export async function probeStreams(path: string, signal: AbortSignal): Promise<ReadonlySet<string> | null> {
  const args = ["-v", "error", "-protocol_whitelist", "file", "-show_streams", "-of", "json", `file:${path}`];
  try {
    const { stdout } = await run("ffprobe", args, {
      signal,
      timeout: PROBE_TIMEOUT_MS,
      maxBuffer: 16 * 1024 * 1024,
    });
    const { streams } = probeSchema.parse(JSON.parse(stdout));
    const real = streams.filter((stream) => stream.disposition?.attached_pic !== 1);
    return new Set(real.flatMap((stream) => stream.codec_type ?? []));
  } catch (error) {
    signal.throwIfAborted();
    if (hasErrno(error, "ENOENT")) return null;
    return new Set();
  }
}
