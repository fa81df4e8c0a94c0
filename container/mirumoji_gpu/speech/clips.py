"""Clips that are decoded at a time: up to half a minute of speech, without the long silences in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Sequence

import numpy as np

from .pcm import Pcm
from .spans import Span

# Whisper hears 30 s at a time.
LONGEST = 29.5


@dataclass(frozen=True)
class Clip:
    """Pieces of the sound that are decoded as one, and the speech in them."""

    pieces: tuple[Span, ...]
    spans: tuple[Span, ...]

    @property
    def seconds(self) -> float:
        return sum(piece.seconds for piece in self.pieces)

    def read(self, pcm: Pcm) -> np.ndarray:
        return np.concatenate([pcm.read(piece.start, piece.end) for piece in self.pieces])

    def in_media(self, seconds: float) -> float:
        """Where a moment of the clip is in the media."""
        for piece in self.pieces:
            if seconds <= piece.seconds:
                return piece.start + seconds
            seconds -= piece.seconds
        return self.pieces[-1].end


def make_clips(spans: Sequence[Span], seconds: float, *, pad: float, longest_silence: float) -> Iterator[Clip]:
    """
    Groups speech into clips. A clip ends at the longest pause of its second half, so that sentences stay whole.

    `pad` is kept around speech where a silence longer than `longest_silence` is cut out.
    """
    rest = [part for span in spans for part in _short_enough(span)]
    while rest:
        count = _count_that_fits(rest, pad, longest_silence)
        if count < len(rest):
            count = _last_long_pause(rest, count)
        taken, rest = rest[:count], rest[count:]
        floor = 0.0 if not (before := taken[0].start) else max(0.0, before - pad)
        yield Clip(tuple(_pieces(taken, floor, seconds, pad, longest_silence)), tuple(taken))


def _short_enough(span: Span) -> list[Span]:
    """One that goes on for longer than a clip is cut where it is no good; it has no pause."""
    parts = max(1, int(np.ceil(span.seconds / LONGEST)))
    step = span.seconds / parts
    return [Span(span.start + i * step, span.start + (i + 1) * step, span.certainty) for i in range(parts)]


def _count_that_fits(spans: Sequence[Span], pad: float, longest_silence: float) -> int:
    seconds = spans[0].seconds + 2 * pad
    for index in range(1, len(spans)):
        silence = spans[index].start - spans[index - 1].end
        seconds += spans[index].seconds + (silence if silence <= longest_silence else 2 * pad)
        if seconds > LONGEST:
            return index
    return len(spans)


def _last_long_pause(spans: Sequence[Span], count: int) -> int:
    half = spans[0].start + (spans[count - 1].end - spans[0].start) / 2
    return max(
        (index for index in range(1, count + 1) if index == count or spans[index - 1].end >= half),
        key=lambda index: (spans[index].start - spans[index - 1].end, index),
    )


def _pieces(
    spans: Sequence[Span], floor: float, seconds: float, pad: float, longest_silence: float
) -> Iterator[Span]:
    start = floor
    for span, following in zip(spans, [*spans[1:], None]):
        if following is None:
            yield Span(start, min(seconds, span.end + pad))
        elif following.start - span.end > longest_silence:
            # The silence between two pieces is shared, where it is shorter than what each may keep of it.
            kept = min(pad, (following.start - span.end) / 2)
            yield Span(start, span.end + kept)
            start = following.start - kept
