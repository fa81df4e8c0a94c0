import { execFile } from "node:child_process";
import { open } from "node:fs/promises";
import { promisify } from "node:util";
import { z } from "zod";
import { MirumojiError } from "../job/errors.ts";
import { inputUrl, protocolsFor } from "./ffmpeg-input.ts";
import { safeInput } from "./input-formats.ts";
import { hasErrno } from "./errno.ts";

const run = promisify(execFile);
const PROBE_TIMEOUT_MS = 60_000;

/** Streams of some files begin late, or show late what they are; looking further takes memory and time. */
const FAR = ["-probesize", "128M", "-analyzeduration", "300M"];
/** Containers without a header: any stream may turn up later. */
const HEADERLESS: ReadonlySet<string> = new Set(["mpeg", "mpegvideo"]);
/** Seconds at the beginning in which each stream is looked for. */
const LOOKED_FOR_SECONDS = 20;

const number = z.coerce.number().optional().catch(undefined);
const length = z.coerce.number().positive().optional().catch(undefined);

const streamSchema = z.object({
  index: z.number(),
  codec_type: z.string().optional(),
  codec_name: z.string().optional(),
  sample_rate: number,
  width: number,
  channels: number,
  channel_layout: z.string().optional(),
  duration: length,
  disposition: z.record(z.string(), z.number()).default({}),
  tags: z.record(z.string(), z.string()).default({}).catch({}),
});

/** A stream as ffprobe shows it. */
export type Stream = z.output<typeof streamSchema>;

const probeSchema = z.object({
  packets: z.array(z.object({ stream_index: z.number().optional() })).default([]),
  streams: z.array(streamSchema).default([]),
  format: z
    .object({
      format_name: z.string().default(""),
      duration: length,
      start_time: z.coerce.number().catch(0).default(0),
    })
    .prefault({}),
});

/** Content of a media file. */
export interface Probe {
  /** Kinds of streams, such as `audio`; none when it is not media. Cover pictures do not count as video. */
  readonly streams: ReadonlySet<string>;
  /** How long it plays, or null where the file does not say. */
  readonly seconds: number | null;
  /** The timestamp that a player shows as 0: that of the stream that begins first. */
  readonly startSeconds: number;
  /** The streams; null when the look was too quick to see them. */
  readonly details: ProbeDetails | null;
}

export interface ProbeDetails {
  readonly streams: readonly Stream[];
  /** Streams that have a packet in the first seconds. */
  readonly begun: ReadonlySet<number>;
  /** Names that ffmpeg gives the container. */
  readonly formats: ReadonlySet<string>;
  /** Options before `-i` with which the same streams are found again. */
  readonly inputOptions: readonly string[];
  /** Whether the length is worked out from a bit rate, which is no promise. */
  readonly isLengthEstimated: boolean;
}

const NOT_MEDIA: Probe = { streams: new Set(), seconds: null, startSeconds: 0, details: null };

/**
 * Looks into a file; null when there is no ffprobe on this machine. Only local files can be named, and what this
 * process serves itself: the protocol is fixed.
 */
export async function probe(path: string, signal: AbortSignal): Promise<Probe | null> {
  const near = await look(path, [], signal);
  return near === null || isComplete(near) ? near : await look(path, FAR, signal);
}

async function look(path: string, reach: readonly string[], signal: AbortSignal): Promise<Probe | null> {
  const inputOptions = [...reach, ...safeInput(protocolsFor(path))];
  const wanted = ["-show_streams", "-show_format", "-show_packets", "-of", "json"];
  // Of the packets only where they belong.
  const entries = ["-show_entries", "packet=stream_index", "-read_intervals", `%+${LOOKED_FOR_SECONDS}`];
  const args = ["-v", "warning", ...inputOptions, ...wanted, ...entries, inputUrl(path)];
  try {
    const { stdout, stderr } = await run("ffprobe", args, {
      signal,
      timeout: PROBE_TIMEOUT_MS,
      maxBuffer: 64 * 1024 * 1024,
    });
    const { packets, streams, format } = probeSchema.parse(JSON.parse(stdout));
    const real = streams.filter((stream) => stream.disposition["attached_pic"] !== 1);
    return {
      streams: new Set(real.flatMap((stream) => stream.codec_type ?? [])),
      seconds: format.duration ?? null,
      startSeconds: format.start_time,
      details: {
        streams,
        begun: new Set(packets.flatMap((packet) => packet.stream_index ?? [])),
        formats: new Set(format.format_name.split(",")),
        inputOptions,
        isLengthEstimated: stderr.includes("Estimating duration from bitrate"),
      },
    };
  } catch (error) {
    signal.throwIfAborted();
    if (hasErrno(error, "ENOENT")) return null;
    await assertStorageWell(error, path);
    return NOT_MEDIA;
  }
}

function isComplete({ details }: Probe): boolean {
  if (details === null) return true;
  if ([...HEADERLESS].some((name) => details.formats.has(name))) return false;
  return details.streams.every(
    ({ codec_type: kind, sample_rate: rate, width }) =>
      (kind !== "audio" || (rate ?? 0) > 0) && (kind !== "video" || (width ?? 0) > 0),
  );
}

/** How ffprobe says that the file system failed, in words of the C library. */
const STORAGE_FAILED =
  /Input\/output error|Stale file handle|Connection timed out|Too many open files|Transport endpoint|Host is down|No such device/u;

/** ffmpeg says the same of headers that end too early. */
const AMBIGUOUS = "Input/output error";
const LOOKED_AT_BYTES = 1024 * 1024;

/** Whether the beginning and the end of a file can be read. */
async function isReadable(path: string): Promise<boolean> {
  if (inputUrl(path) === path) return false;
  try {
    await using handle = await open(path);
    const { size } = await handle.stat();
    for (const at of [0, Math.max(0, size - LOOKED_AT_BYTES)]) {
      await handle.read(Buffer.alloc(Math.min(size, LOOKED_AT_BYTES)), 0, null, at);
    }
    return true;
  } catch {
    return false;
  }
}

/** Throws `STORAGE_UNAVAILABLE` when it was not the file's fault that ffprobe could not read it. */
async function assertStorageWell(error: unknown, path: string): Promise<void> {
  if (!(error instanceof Error)) return;
  const isLate = "killed" in error && error.killed === true;
  const words = "stderr" in error ? String(error.stderr) : "";
  const [said] = STORAGE_FAILED.exec(words) ?? [];
  if (!isLate && (said === undefined || (said === AMBIGUOUS && (await isReadable(path))))) return;
  const why = said ?? `ffprobe had no answer in ${PROBE_TIMEOUT_MS / 1000} s`;
  throw new MirumojiError(
    "STORAGE_UNAVAILABLE",
    `the input cannot be read: ${why}; check the disk or the mount; the job waits for it`,
    { cause: error },
  );
}
