"""Choice of a file's tracks. `src/media/choose-audio.ts` has the same rule for audio; one table tests both."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Callable, Sequence

from .errors import Expected
from .languages import language_of

Stream = dict[str, Any]

# More cannot be mixed down; ffmpeg's filters end here.
MOST_CHANNELS = 64
ASIDE_FLAGS = ("comment", "visual_impaired", "descriptions", "clean_effects", "karaoke")
ASIDE_TITLE = re.compile(
    r"\b(commentary|commentaries|comments|commentaires?|comentarios?|commento|described|descriptive|dvs|"
    r"visually impaired)\b|audio[ -]?d[eé]s[ck]ri|kommentar|hörfilm|комментари|解説|評論|评论|コメンタリー|音声ガイド|해설",
    re.IGNORECASE,
)
# Codes of broadcasters for audio description, in the place of a language.
ASIDE_LANGUAGES = {"qad", "nar"}
STILL_FLAGS = ("attached_pic", "still_image", "timed_thumbnails")


@dataclass(frozen=True)
class Track:
    """A stream, and its number among those of its kind, from 1, as players count."""

    stream: Stream
    number: int

    @property
    def index(self) -> int:
        return int(self.stream["index"])

    @property
    def language(self) -> str | None:
        return language_of(_tag(self.stream, "language"))

    @property
    def title(self) -> str:
        return _tag(self.stream, "title") or ""

    @property
    def is_default(self) -> bool:
        return has_flag(self.stream, "default")

    @property
    def is_aside(self) -> bool:
        """Commentary and the like: never what a film is heard for."""
        is_flagged = any(has_flag(self.stream, flag) for flag in ASIDE_FLAGS)
        return is_flagged or self.language in ASIDE_LANGUAGES or bool(ASIDE_TITLE.search(self.title))

    def speaks(self, wanted: str) -> bool:
        """Whether a language is one of the track's; dual-mono broadcasts name two."""
        return wanted in map(language_of, re.split("[,;]", _tag(self.stream, "language") or ""))


@dataclass(frozen=True)
class Choice:
    """A track with the reason in words; a guess has a warning."""

    track: Track
    why: str
    warnings: list[str] = field(default_factory=list)


def has_flag(stream: Stream, flag: str) -> bool:
    return bool((stream.get("disposition") or {}).get(flag))


def tracks_of(streams: Sequence[Stream], kind: str) -> list[Track]:
    """All tracks of a kind, whether they can be used or not: that is how people count them."""
    of_kind = [stream for stream in streams if stream.get("codec_type") == kind]
    return [Track(stream, at + 1) for at, stream in enumerate(of_kind)]


def usable_audio(streams: Sequence[Stream], has_packets: Callable[[Stream], bool]) -> list[Track]:
    return [track for track in tracks_of(streams, "audio") if _decodable(track.stream) and has_packets(track.stream)]


def choose_audio(tracks: Sequence[Track], language: str | None, number: int | None) -> Choice | None:
    """
    The track that was asked for by number; else no commentary, then the wanted language, the default flag, the order.

    A number that is not there is refused.
    """
    if number is not None:
        for track in tracks:
            if track.number == number:
                return Choice(track, "asked for")
        there = ", ".join(str(track.number) for track in tracks) or "none"
        raise Expected("TRACK_NOT_FOUND", f"there is no audio track {number} with sound; there are: {there}.")
    if not tracks:
        return None
    wanted = language_of(language)

    def rank(track: Track) -> tuple[bool, bool, bool]:
        return track.is_aside, wanted is not None and not track.speaks(wanted), not track.is_default

    best = min(tracks, key=rank)  # the first of equals
    if len(tracks) == 1:
        return Choice(best, "the only one")
    speaks = wanted is not None and best.speaks(wanted)
    equals = [track for track in tracks if rank(track) == rank(best)]
    why = "of the wanted language" if speaks else "flagged default" if best.is_default and len(equals) == 1 else "first"
    guess = None
    if best.is_aside:
        guess = "all are commentary or the like"
    elif len(equals) > 1:
        guess = f"{len(equals)} fit as well as each other"
    elif wanted is not None and not speaks and sum(not track.is_aside for track in tracks) > 1:
        guess = f"none is tagged {wanted}"
    warnings = [f"took audio track {best.number} of {len(tracks)}, {why}: {guess}; audio_track chooses another"]
    return Choice(best, why, warnings if guess else [])


def choose_video(streams: Sequence[Stream], packets_of: Callable[[Stream], int]) -> Choice | None:
    """A film rather than a still picture, then the default flag, then the order; never a cover."""
    tracks = [
        track
        for track in tracks_of(streams, "video")
        if _decodable(track.stream) and track.stream.get("width") and packets_of(track.stream)
        if not any(has_flag(track.stream, flag) for flag in STILL_FLAGS)
    ]
    if not tracks:
        return None
    best = min(tracks, key=lambda track: (packets_of(track.stream) < 2, not track.is_default))
    if len(tracks) == 1:
        return Choice(best, "the only one")
    return Choice(best, "flagged default" if best.is_default else "the first with moving pictures")


def shown_track(kind: str, choice: Choice) -> dict[str, Any]:
    """Words of the report about a track."""
    track = choice.track
    shown = {"kind": kind, "number": track.number, "codec": track.stream.get("codec_name"), "why": choice.why}
    details = {"language": track.language, "title": track.title}
    return {**shown, **{name: value for name, value in details.items() if value}}


def _decodable(stream: Stream) -> bool:
    channels = int(stream.get("channels") or 0)
    return stream.get("codec_name") not in (None, "unknown") and channels <= MOST_CHANNELS


def _tag(stream: Stream, name: str) -> str | None:
    tags = stream.get("tags") or {}
    return next((str(value) for key, value in tags.items() if key.lower() == name), None)
