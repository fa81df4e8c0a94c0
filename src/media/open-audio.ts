import { MirumojiError } from "../job/errors.ts";
import type { AudioTrack } from "../ports/media.ts";
import { mostWorthSending, planAudio } from "./audio-plan.ts";
import { startAudioTrack, tasteAudio } from "./audio-track.ts";
import type { Probe } from "./probe.ts";
import { extractionFailed } from "./run-ffmpeg.ts";
import { steadyFile } from "./steady-file.ts";

/**
 * Starts to take the audio track out of an input; null when sending the file itself is as good.
 *
 * @throws MirumojiError `AUDIO_EXTRACTION_FAILED`, `PROGRAM_MISSING`
 */
export async function openAudio(
  path: string,
  found: Probe | null,
  { isForced, signal }: { readonly isForced: boolean; readonly signal: AbortSignal },
): Promise<AudioTrack | null> {
  if (found === null) {
    throw new MirumojiError("PROGRAM_MISSING", "ffprobe is not on this machine; install ffmpeg");
  }
  const { audio, startSeconds } = found;
  const file = await steadyFile(path);
  const seconds = found.seconds ?? audio?.seconds ?? null;
  const limit = mostWorthSending(file.sizeBytes);
  const plan = isForced
    ? "track"
    : planAudio({ sizeBytes: file.sizeBytes, seconds, hasVideo: found.streams.has("video") });
  if (plan === "file") return null;
  if (audio === null) throw extractionFailed("ffmpeg knows no way to decode the audio stream");
  const place = { path, streamIndex: audio.index, startSeconds };
  if (plan === "taste" && (await tasteAudio(place, seconds ?? 0, signal)) > limit) return null;
  const maxBytes = isForced ? Number.POSITIVE_INFINITY : limit;
  return startAudioTrack({ place, file, seconds, maxBytes, signal });
}
