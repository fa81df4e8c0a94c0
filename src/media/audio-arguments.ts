import { inputUrl } from "./ffmpeg-input.ts";
import { SAFE_INPUT } from "./input-formats.ts";
import { type Mix, monoMix } from "./mixdown.ts";
import type { Stream } from "./probe.ts";
import { BIAS_SECONDS, continuous, type Jump } from "./timeline.ts";

/** Whisper's input format; it resamples everything else to this. */
const SAMPLE_RATE = 16_000;
const FRAME_SAMPLES = 1152;
/** How long every FLAC frame plays but the last, which may be shorter. */
export const FRAME_SECONDS = FRAME_SAMPLES / SAMPLE_RATE;

/** An audio stream of a file, and the file's time line. */
export interface AudioPlace {
  readonly path: string;
  readonly stream: Stream;
  readonly side: Mix;
  /** Options before `-i` with which the stream is found. */
  readonly inputOptions: readonly string[];
  /** The timestamp that a player shows as 0. */
  readonly startSeconds: number;
  readonly joints: readonly Jump[];
  /** Whether the file holds no times, so that the samples are counted. */
  readonly isUntimed: boolean;
  /** How long the file is, or null where it does not say. */
  readonly seconds: number | null;
}

/**
 * ffmpeg's arguments for one audio stream as 16 kHz mono PCM that never changes its format, with times of the time
 * line, as NUT on stdout.
 *
 * A program of its own: ffmpeg builds its filters anew where the layout or rate of a sound changes, and what fills gaps
 * would begin again from 0. The handler beside the GPU decodes whole files with the same filters
 * (`container/mirumoji_gpu/audio.py`): where a subtitle stands must not depend on what was sent.
 */
export function pcmArguments(place: AudioPlace): string[] {
  const clock = `setts=ts='${continuous(place.joints, place.startSeconds, place.stream.codec_name)}'`;
  return [
    ...quiet,
    // Timestamps stay as they are in the file. By default ffmpeg takes off those of an MPEG stream the start of the
    // audio alone, so that it loses its place beside the video; older versions do so even now when the file begins
    // at exactly 0, unless some offset is given.
    "-copyts",
    "-itsoffset",
    "0.000001",
    ...input(place),
    "-af",
    mono(place),
    "-bsf:a",
    clock,
    "-c:a",
    "pcm_s16le",
    "-f",
    "nut",
    "pipe:1",
  ];
}

/**
 * ffmpeg's arguments for such PCM from stdin as FLAC on stdout. The same input gives the same bytes. `withSamples`: the
 * samples that are in it too, on file descriptor 3.
 */
export function flacArguments(
  { isUntimed, seconds }: Pick<AudioPlace, "isUntimed" | "seconds">,
  { withSamples }: { readonly withSamples: boolean },
): string[] {
  const filters = isUntimed ? "asetpts=N/SR/TB" : `asetpts=PTS-${BIAS_SECONDS}/TB,${filled(seconds)}`;
  return [
    ...quiet,
    "-copyts",
    "-threads",
    "1",
    ...SAFE_INPUT,
    "-f",
    "nut",
    "-i",
    "pipe:0",
    "-af",
    filters,
    ...flac.split(" "),
    ...(withSamples ? ["-af", filters, ...samples.split(" ")] : []),
  ];
}

/** ffmpeg's arguments for `seconds` from `at` on as FLAC, as they come: for its size, not for its times. */
export function tasteArguments(
  place: AudioPlace,
  { at, seconds }: { readonly at: number; readonly seconds: number },
): string[] {
  const piece = ["-ss", at.toFixed(3), "-t", String(seconds)];
  return [...quiet, ...piece, ...input(place), "-af", mono(place), ...flac.split(" ")];
}

/** A damaged file is decoded as far as it goes, however little that is. */
const quiet = ["-hide_banner", "-nostdin", "-loglevel", "error", "-max_error_rate", "1"];

/** 16 kHz mono first of all, so that a pause of an hour costs little memory when it is filled. */
function mono({ stream, side }: AudioPlace): string {
  const uniform = [`aresample=${SAMPLE_RATE}`, "aformat=sample_fmts=s16:channel_layouts=mono"];
  return [...monoMix(stream, side), ...uniform].join(",");
}

/**
 * Gaps, also the one before a late start, become silence, and what overlaps is cut; from 40 ms on, or the sound of files
 * with restless clocks would be cut to pieces.
 */
const FILLED = "aresample=async=1:min_hard_comp=0.04:first_pts=0";

/** Files so long may have pauses that ffmpeg had better not fill in one, as it makes what it fills in memory. */
const LONG_SPEECH_SECONDS = 1800;
const PIECE_SECONDS = 10;

/**
 * One silent sample now and then, of which only those in a pause stay, so that each has little to fill. Versions of ffmpeg
 * differ in the unit of the times that `ainterleave` gives: the first sample, whose time is known, tells it.
 */
const FILLED_IN_PIECES =
  `anull[sound];anullsrc=r=${SAMPLE_RATE}:cl=mono:n=1,asetpts='(N-1)*${PIECE_SECONDS}/TB'[ticks];` +
  "[sound][ticks]ainterleave=duration=first," +
  `asetpts='st(0,if(eq(N,0),-PTS/${PIECE_SECONDS},ld(0)));round(PTS/ld(0)/TB)',` +
  "aselect='gt(n,0)*(gt(samples_n,1)" +
  `+gt(t-if(isnan(prev_selected_t),0,prev_selected_t),${PIECE_SECONDS - 1}))',${FILLED}`;

function filled(seconds: number | null): string {
  return seconds !== null && seconds < LONG_SPEECH_SECONDS ? FILLED : FILLED_IN_PIECES;
}

function input({ path, stream, inputOptions }: AudioPlace): string[] {
  const only = ["-map", `0:${stream.index}`, "-vn", "-sn", "-dn"];
  return ["-threads", "1", ...inputOptions, "-i", inputUrl(path), ...only];
}

/** Without tags, dates and versions, which would make other bytes of the same sound. */
const flac =
  `-map_metadata -1 -map_chapters -1 -fflags +bitexact -flags:a +bitexact -ac 1 -ar ${SAMPLE_RATE} -sample_fmt s16 ` +
  `-c:a flac -frame_size ${FRAME_SAMPLES} -f flac pipe:1`;
const samples = `-ac 1 -ar ${SAMPLE_RATE} -c:a pcm_s16le -f s16le pipe:3`;
