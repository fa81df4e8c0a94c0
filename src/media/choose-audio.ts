import { MirumojiError } from "../job/errors.ts";
import type { InputWish } from "../job/input-wish.ts";
import { languageOf } from "./language-tag.ts";
import type { Stream } from "./probe.ts";

/** More cannot be mixed down; ffmpeg's filters end here. */
const MOST_CHANNELS = 64;
const ASIDE_FLAGS = ["comment", "visual_impaired", "descriptions", "clean_effects", "karaoke"] as const;
const ASIDE_TITLE =
  /\b(commentary|commentaries|comments|commentaires?|comentarios?|commento|described|descriptive|dvs|visually impaired)\b|audio[ -]?d[eé]s[ck]ri|kommentar|hörfilm|комментари|解説|評論|评论|コメンタリー|音声ガイド|해설/iu;
/** Codes of broadcasters for audio description, in the place of a language. */
const ASIDE_LANGUAGES: ReadonlySet<string | null> = new Set(["qad", "nar"]);

/** Request for one of the sounds of a file. */
export type SoundWish = NonNullable<InputWish["sound"]>;

export const ANY_SOUND: SoundWish = { language: null, audioTrack: null, dualMono: "both" };

/** An audio track, and its number among those of the file, from 1, as players count. */
export interface SoundTrack {
  readonly stream: Stream;
  readonly number: number;
}

export interface SoundChoice extends SoundTrack {
  /** The reason, in words. */
  readonly why: string;
  /** A warning when it is a guess. */
  readonly warnings: readonly string[];
}

/** The audio tracks that can be decoded and have packets. */
export function usableAudio(
  streams: readonly Stream[],
  hasPackets: (stream: Stream) => boolean,
): SoundTrack[] {
  return streams
    .filter(({ codec_type: kind }) => kind === "audio")
    .map((stream, at) => ({ stream, number: at + 1 }))
    .filter(({ stream }) => isDecodable(stream) && hasPackets(stream));
}

/**
 * Chooses the track that was asked for by number; else no commentary, then the wanted language, the default flag,
 * the order. `container/mirumoji_gpu/tracks.py` has the same rule for whole files. Null where there is no track.
 *
 * @throws MirumojiError `TRACK_NOT_FOUND` when there is no such number
 */
export function chooseAudio(
  tracks: readonly SoundTrack[],
  { language, audioTrack }: Pick<SoundWish, "language" | "audioTrack">,
): SoundChoice | null {
  if (audioTrack !== null) {
    const asked = tracks.find(({ number }) => number === audioTrack);
    if (asked !== undefined) return { ...asked, why: "asked for", warnings: [] };
    const there = tracks.map(({ number }) => number).join(", ") || "none";
    throw new MirumojiError(
      "TRACK_NOT_FOUND",
      `there is no audio track ${audioTrack} with sound; there are: ${there}.`,
    );
  }
  const wanted = languageOf(language ?? undefined);
  const rank = ({ stream }: SoundTrack): number =>
    (isAside(stream) ? 4 : 0) +
    (wanted !== null && !isSpoken(wanted, stream) ? 2 : 0) +
    (stream.disposition["default"] === 1 ? 0 : 1);
  const [best] = tracks.toSorted((a, b) => rank(a) - rank(b));
  if (best === undefined) return null;
  if (tracks.length === 1) return { ...best, why: "the only one", warnings: [] };
  const speaks = wanted !== null && isSpoken(wanted, best.stream);
  const equals = tracks.filter((track) => rank(track) === rank(best)).length;
  const isDefault = best.stream.disposition["default"] === 1 && equals === 1;
  const why = speaks ? "of the wanted language" : isDefault ? "flagged default" : "first";
  const guess = guessOf();
  const warning = `took audio track ${best.number} of ${tracks.length}, ${why}: ${guess}; audio_track chooses another`;
  return { ...best, why, warnings: guess === null ? [] : [warning] };

  function guessOf(): string | null {
    if (isAside((best as SoundTrack).stream)) return "all are commentary or the like";
    if (equals > 1) return `${equals} fit as well as each other`;
    const others = tracks.filter(({ stream }) => !isAside(stream)).length;
    return wanted !== null && !speaks && others > 1 ? `none is tagged ${wanted}` : null;
  }
}

/** The value of a tag, however its name is spelt. */
export function tagOf(stream: Stream, name: string): string | undefined {
  return Object.entries(stream.tags).find(([key]) => key.toLowerCase() === name)?.[1];
}

/** Whether a language is one of a track's; dual-mono broadcasts name two. */
function isSpoken(wanted: string, stream: Stream): boolean {
  return (tagOf(stream, "language") ?? "").split(/[,;]/u).some((tag) => languageOf(tag) === wanted);
}

/** Whether a track is commentary or the like: never what a film is heard for. */
function isAside(stream: Stream): boolean {
  return (
    ASIDE_FLAGS.some((flag) => stream.disposition[flag] === 1) ||
    ASIDE_LANGUAGES.has(languageOf(tagOf(stream, "language"))) ||
    ASIDE_TITLE.test(tagOf(stream, "title") ?? "")
  );
}

function isDecodable({ codec_name: name, channels = 0 }: Stream): boolean {
  return name !== undefined && name !== "unknown" && channels <= MOST_CHANNELS;
}
