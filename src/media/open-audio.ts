import type { AudioTrack } from "../ports/media.ts";
import { mostWorthSending, planAudio } from "./audio-plan.ts";
import { startAudioTrack, tasteAudio } from "./audio-track.ts";
import type { SoundChoice, SoundWish } from "./choose-audio.ts";
import { damageOf } from "./damage.ts";
import { endingOf } from "./ending.ts";
import type { Insight } from "./look-inside.ts";
import type { Mix } from "./mixdown.ts";
import { isOpposed, OPPOSED_WARNING } from "./phase.ts";
import { extractionFailed } from "./run-ffmpeg.ts";
import type { SteadyFile } from "./steady-file.ts";
import { isJoinable, isUntimed } from "./timeline.ts";

/**
 * Starts to take the audio track out of an input; null when sending the file itself is as good.
 *
 * @throws MirumojiError `AUDIO_EXTRACTION_FAILED`, `PROGRAM_MISSING`
 */
export async function openAudio(
  path: string,
  options: {
    readonly file: SteadyFile;
    readonly found: Insight;
    readonly choice: SoundChoice | null;
    readonly side: SoundWish["dualMono"];
    readonly isForced: boolean;
    readonly withLevels?: boolean;
    readonly signal: AbortSignal;
  },
): Promise<AudioTrack | null> {
  const { file, found, choice, side, isForced, withLevels = false, signal } = options;
  const { startSeconds, details } = found;
  const seconds = found.seconds ?? choice?.stream.duration ?? null;
  const limit = mostWorthSending(file.sizeBytes);
  const hasVideo = found.streams.has("video");
  const plan = isForced ? "track" : planAudio({ sizeBytes: file.sizeBytes, seconds, hasVideo });
  if (plan === "file") return null;
  if (choice === null || details === null) {
    throw extractionFailed("ffmpeg knows no way to decode the audio stream");
  }
  const { stream } = choice;
  // Where recordings may be joined, only all of the file tells.
  const survey = isJoinable(details.formats) ? await found.survey(signal) : null;
  const joints = survey?.joints.get(stream.index) ?? [];
  const { inputOptions, formats } = details;
  const isSilentSum =
    side === "both" && (await isOpposed({ path, stream, seconds: found.seconds, inputOptions }, signal));
  const mix: Mix = isSilentSum ? "difference" : side;
  const place = {
    path,
    stream,
    side: mix,
    startSeconds,
    joints,
    inputOptions,
    isUntimed: isUntimed(formats),
    seconds,
  };
  if (plan === "taste" && (await tasteAudio(place, seconds ?? 0, signal)) > limit) return null;
  const maxBytes = isForced ? Number.POSITIVE_INFINITY : limit;
  const track = startAudioTrack({ place, file, seconds, maxBytes, withLevels, signal });
  return {
    ...track,
    damage: async () => {
      const short = await damageOf(found, { stream, decodedSeconds: track.seconds(), signal });
      const damage = short.length > 0 ? short : await endingOf(path);
      return isSilentSum ? [OPPOSED_WARNING, ...damage] : damage;
    },
  };
}
