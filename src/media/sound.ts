import type { TrackReport } from "../job/facts.ts";
import { chooseAudio, type SoundChoice, type SoundWish, tagOf, usableAudio } from "./choose-audio.ts";
import { languageOf } from "./language-tag.ts";
import type { Insight } from "./look-inside.ts";

/** Chooses the audio track of a file; null where there is none, or the look was too quick to see it. */
export async function chooseSound(
  found: Insight,
  wish: SoundWish,
  signal: AbortSignal,
): Promise<SoundChoice | null> {
  const { details } = found;
  if (details === null) return null;
  const sounds = details.streams.filter(({ codec_type: kind }) => kind === "audio");
  // One that has not begun may begin late, or never; only all of the file tells.
  const isSure = sounds.every(({ index }) => details.begun.has(index));
  const survey = isSure ? null : await found.survey(signal);
  const hasPackets = ({ index }: { index: number }): boolean =>
    survey === null ? details.begun.has(index) : (survey.counts.get(index) ?? 0) > 0;
  return chooseAudio(usableAudio(details.streams, hasPackets), wish);
}

/** Words of the report about a track. */
export function reportOf({ stream, number, why }: SoundChoice): TrackReport {
  const language = languageOf(tagOf(stream, "language"));
  const title = tagOf(stream, "title");
  return {
    kind: "audio",
    number,
    ...(stream.codec_name === undefined ? {} : { codec: stream.codec_name }),
    why,
    ...(language === null ? {} : { language }),
    ...(title === undefined ? {} : { title }),
  };
}
