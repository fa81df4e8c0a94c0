import { setTimeout as sleep } from "node:timers/promises";
import { MirumojiError } from "../job/errors.ts";
import type { AudioTrack } from "../ports/media.ts";
import {
  type AudioPlace,
  FRAME_SECONDS,
  flacArguments,
  pcmArguments,
  tasteArguments,
} from "./audio-arguments.ts";
import { USUAL_BYTES_PER_SECOND } from "./audio-plan.ts";
import { flacClock } from "./flac-clock.ts";
import { levelMeter } from "./level-meter.ts";
import { extractionFailed, runFfmpeg } from "./run-ffmpeg.ts";
import type { SteadyFile } from "./steady-file.ts";

/** How long a killed ffmpeg is waited for. */
const LAST_WAIT_MS = 1000;

interface TrackOptions {
  readonly place: AudioPlace;
  readonly file: SteadyFile;
  /** How long the track is, or null where nobody knows. */
  readonly seconds: number | null;
  /** Where more than this comes it is a failure. */
  readonly maxBytes: number;
  /** Whether its loudness is measured. */
  readonly withLevels: boolean;
  readonly signal: AbortSignal;
}

/**
 * Starts to take an audio track out of a file. Its bytes wait in the pipe until they are asked for.
 *
 * `content` throws `AUDIO_EXTRACTION_FAILED`, `PROGRAM_MISSING`, `INPUT_CHANGED`, and the signal's reason.
 */
export function startAudioTrack(options: TrackOptions): Omit<AudioTrack, "damage"> {
  const { place, file, seconds, maxBytes, withLevels, signal } = options;
  const programs = [pcmArguments(place), flacArguments(place, { withSamples: withLevels })];
  const ffmpeg = runFfmpeg(programs, signal, { hasAside: withLevels });
  const meter = levelMeter();
  ffmpeg.aside?.on("data", (chunk: Buffer) => meter.pass(chunk));
  const clock = flacClock(FRAME_SECONDS);
  let passedBytes = 0;

  const content = async function* (): AsyncGenerator<Buffer, void> {
    try {
      for await (const chunk of ffmpeg.stdout as AsyncIterable<Buffer>) {
        passedBytes += chunk.length;
        if (passedBytes > maxBytes) throw extractionFailed(`the audio has more than ${maxBytes} bytes`);
        clock.pass(chunk);
        yield chunk;
      }
    } catch (thrown) {
      // A stream that is cut off is one that has ended: how ffmpeg ended says why.
      if (thrown instanceof MirumojiError) throw thrown;
    }
    signal.throwIfAborted();
    const failure = await ffmpeg.failure;
    signal.throwIfAborted();
    await file.assertUnchanged();
    if (failure !== null) throw failure;
    if (clock.seconds === 0) throw extractionFailed("ffmpeg found no sound in the audio stream");
  };

  return {
    inputBytes: file.sizeBytes,
    content: content(),
    seconds: () => clock.seconds,
    levels: () => (withLevels ? meter.levels() : null),
    expectedBytes: () => {
      const total = seconds ?? 0;
      const guess =
        clock.seconds > 0 ? (passedBytes / clock.seconds) * total : total * USUAL_BYTES_PER_SECOND;
      return Math.max(passedBytes, Math.round(guess));
    },
    async close() {
      ffmpeg.kill();
      await Promise.race([ffmpeg.failure, sleep(LAST_WAIT_MS, undefined, { ref: false })]);
    },
  };
}

const TASTE_SECONDS = 30;

/**
 * Guesses the size of a track from a piece in its middle.
 *
 * @throws MirumojiError `AUDIO_EXTRACTION_FAILED`, `PROGRAM_MISSING`
 */
export async function tasteAudio(place: AudioPlace, seconds: number, signal: AbortSignal): Promise<number> {
  const length = Math.min(TASTE_SECONDS, seconds);
  const ffmpeg = runFfmpeg([tasteArguments(place, { at: (seconds - length) / 2, seconds: length })], signal);
  let bytes = 0;
  ffmpeg.stdout.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  const failure = await ffmpeg.failure;
  signal.throwIfAborted();
  if (failure !== null) throw failure;
  return Math.round((bytes * seconds) / length);
}
