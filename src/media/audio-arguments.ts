import { SAFE_INPUT } from "./input-formats.ts";

/** Whisper's input format; it resamples everything else to this. */
const SAMPLE_RATE = 16_000;
const FRAME_SAMPLES = 1152;
/** How long every FLAC frame plays but the last, which may be shorter. */
export const FRAME_SECONDS = FRAME_SAMPLES / SAMPLE_RATE;

/** An audio stream of a file, and where a player's time line begins. */
export interface AudioPlace {
  readonly path: string;
  readonly streamIndex: number;
  readonly startSeconds: number;
}

/**
 * ffmpeg's arguments for one audio stream as 16 kHz mono FLAC on stdout. The same input gives the same bytes.
 *
 * The handler beside the GPU decodes whole files with the same filters (`_audio_filters` in
 * `container/mirumoji_gpu/audio.py`): where a subtitle stands must not depend on what was sent.
 */
export function trackArguments(place: AudioPlace): string[] {
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
    [...mono, onTimeline(place.startSeconds), FILLED].join(","),
    ...flac.split(" "),
  ];
}

/** The same for `seconds` from `at` on, as they come: for its size, not for its times. */
export function tasteArguments(
  place: AudioPlace,
  { at, seconds }: { readonly at: number; readonly seconds: number },
): string[] {
  const piece = ["-ss", at.toFixed(3), "-t", String(seconds)];
  return [...quiet, ...piece, ...input(place), "-af", mono.join(","), ...flac.split(" ")];
}

const quiet = ["-hide_banner", "-nostdin", "-loglevel", "error"];

/** First of all, so that a pause of an hour costs little memory when it is filled. */
const mono = [`aresample=${SAMPLE_RATE}`, "aformat=sample_fmts=s16:channel_layouts=mono"];

/** Gaps, also the one before a late start, become silence. */
const FILLED = "aresample=async=1:first_pts=0";

/**
 * Counts timestamps from the start of the file. A step back by a second or more, or ahead by more than half an hour,
 * is where two recordings were joined: the time goes on there.
 */
function onTimeline(startSeconds: number): string {
  const step = "PTS-PREV_INPTS";
  const next = `PREV_OUTPTS+if(between((${step})*TB,-1,1800),${step},NB_SAMPLES)`;
  return `asetpts='if(isnan(PREV_INPTS),PTS-(${startSeconds.toFixed(6)})/TB,${next})'`;
}

function input({ path, streamIndex }: AudioPlace): string[] {
  const only = ["-map", `0:${streamIndex}`, "-vn", "-sn", "-dn"];
  return ["-threads", "1", ...SAFE_INPUT, "-i", `file:${path}`, ...only];
}

/** Without tags, dates and versions, which would make other bytes of the same sound. */
const flac =
  `-map_metadata -1 -map_chapters -1 -fflags +bitexact -flags:a +bitexact -ac 1 -ar ${SAMPLE_RATE} -sample_fmt s16 ` +
  `-c:a flac -frame_size ${FRAME_SAMPLES} -f flac pipe:1`;
