import { createHash, type Hash } from "node:crypto";
import { type ErrorCode, MirumojiError } from "../job/errors.ts";
import type { Gained } from "../job/facts.ts";
import { remoteAudioPath } from "../job/paths.ts";
import { openCallAhead } from "./call-ahead.ts";
import type { StepJob, StepTools } from "./context.ts";
import type { AudioTrack, InputFile } from "../ports/media.ts";
import { cacheAgeOf } from "./cached-transcript.ts";
import { containersFor, planFilm } from "./plan-film.ts";
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
  const mustBe = uploadAudioOnly === "always";
  const asked = await containersFor(step, input.seconds, tools);
  const isForced = mustBe || asked.isForced;
  try {
    const track = await input.openAudio({ isForced, withLevels: asked.isWanted, signal: step.signal });
    return track === null ? null : await sendTrack(step, input, track, tools);
  } catch (error) {
    if (mustBe || !(error instanceof MirumojiError) || !FALLBACK_CODES.has(error.code)) throw error;
    step.warn(`the whole input is sent, not only its audio: ${error.message}`);
    return null;
  }
}

async function sendTrack(
  step: StepJob<"upload">,
  input: InputFile,
  track: AudioTrack,
  tools: StepTools,
): Promise<Gained<"upload">> {
  const { id, facts, signal, report } = step;
  const { volumes, now } = tools;
  const hash = cacheAgeOf(step.request, tools) > 0 ? createHash("sha256") : null;
  try {
    const remotePath = remoteAudioPath(id);
    const { sentBytes } = await volumes.putStream({
      volumeId: facts.volumeId,
      remotePath,
      content: hash === null ? track.content : hashed(track.content, hash),
      expectedBytes: () => track.expectedBytes(),
      insteadOfBytes: track.inputBytes,
      signal,
      onProgress: transferReporter(report, now),
      onSent: () => openCallAhead(step, tools),
    });
    const parts = await planFilm(step, track, tools);
    const inputWarnings = [...input.warnings, ...(await track.damage())];
    return {
      remotePath,
      inputBytes: track.inputBytes,
      sentBytes,
      audioOnly: true,
      ...parts,
      ...(hash === null ? {} : { audioSha256: hash.digest("hex") }),
      ...(input.track === null ? {} : { inputTracks: [input.track] }),
      ...(inputWarnings.length === 0 ? {} : { inputWarnings }),
    };
  } finally {
    await track.close();
  }
}

async function* hashed(content: AsyncIterable<Uint8Array>, hash: Hash): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of content) {
    hash.update(chunk);
    yield chunk;
  }
}
