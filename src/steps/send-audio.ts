import { type ErrorCode, MirumojiError } from "../job/errors.ts";
import type { Gained } from "../job/facts.ts";
import { remoteAudioPath } from "../job/paths.ts";
import type { StepJob, StepTools } from "./context.ts";
import type { AudioTrack, InputFile } from "../ports/media.ts";
import { transferReporter } from "./transfer-progress.ts";

/** Errors after which the whole input is sent in place of its audio. */
const FALLBACK_CODES: ReadonlySet<ErrorCode> = new Set(["PROGRAM_MISSING", "AUDIO_EXTRACTION_FAILED"]);

/**
 * Sends the audio track of an input in its place; null where the input itself is to be sent.
 *
 * @throws MirumojiError what `putStream` throws, `INPUT_CHANGED`; when it must be the track also `PROGRAM_MISSING` and
 * `AUDIO_EXTRACTION_FAILED`
 */
export async function sendAudio(
  step: StepJob<"upload">,
  input: InputFile,
  tools: StepTools,
): Promise<Gained<"upload"> | null> {
  const { uploadAudioOnly } = tools;
  if (step.request.type !== "transcribe" || uploadAudioOnly === "never") return null;
  const isForced = uploadAudioOnly === "always";
  try {
    const track = await input.openAudio({ isForced, signal: step.signal });
    return track === null ? null : await sendTrack(step, input, track, tools);
  } catch (error) {
    if (isForced || !(error instanceof MirumojiError) || !FALLBACK_CODES.has(error.code)) throw error;
    step.warn(`the whole input is sent, not only its audio: ${error.message}`);
    return null;
  }
}

async function sendTrack(
  { id, facts, signal, report }: StepJob<"upload">,
  input: InputFile,
  track: AudioTrack,
  { volumes, now }: StepTools,
): Promise<Gained<"upload">> {
  try {
    const remotePath = remoteAudioPath(id);
    const { sentBytes } = await volumes.putStream({
      volumeId: facts.volumeId,
      remotePath,
      content: track.content,
      expectedBytes: () => track.expectedBytes(),
      insteadOfBytes: track.inputBytes,
      signal,
      onProgress: transferReporter(report, now),
    });
    const inputWarnings = [...input.warnings, ...(await track.damage())];
    return {
      remotePath,
      inputBytes: track.inputBytes,
      sentBytes,
      audioOnly: true,
      ...(input.track === null ? {} : { inputTracks: [input.track] }),
      ...(inputWarnings.length === 0 ? {} : { inputWarnings }),
    };
  } finally {
    await track.close();
  }
}
