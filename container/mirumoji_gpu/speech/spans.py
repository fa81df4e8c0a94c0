"""Stretches of speech, with the edges that the ear would give them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .activity import HOP_SECONDS, Activity

# A pause is at least this long; the closure of a plosive is shorter, of a geminate about as long.
SHORTEST_PAUSE = 0.09
# How far the true edge may be from where the detector saw it.
REACH = 0.4
# A quieter moment than this, just outside, still belongs to the word: a devoiced vowel, a closure.
BRIDGE = 0.1
# How much around speech shows the noise, in steps.
AROUND = 300
# How much above the noise a voice must be for its edge to be read from the level, and how much above it counts.
CLEAR_DB, ABOVE_NOISE_DB = 12.0, 6.0
# Below its loudest by so much, a voice is not heard in a quiet room.
DYNAMICS_DB = 34.0


@dataclass(frozen=True)
class Span:
    """Times in seconds."""

    start: float
    end: float
    certainty: float = 1.0
    """How sure the detector is that it is speech, 0 to 1."""

    @property
    def seconds(self) -> float:
        return self.end - self.start


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """First and one past the last index of each run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))


def find_spans(activity: Activity, *, threshold: float, min_speech: float) -> list[Span]:
    """Speech without the pauses in it. A span begins at `threshold` and goes on as long as it is nearly reached."""
    low = activity.speech >= max(threshold - 0.15, 0.01)
    spans: list[tuple[int, int]] = []
    for begin, end in runs(low):
        high = np.flatnonzero(activity.speech[begin:end] >= threshold)
        if len(high):
            spans.append((begin + int(high[0]), end))
    found: list[Span] = []
    for index, (begin, end) in enumerate(spans):
        floor = spans[index - 1][1] if index else 0
        ceiling = spans[index + 1][0] if index + 1 < len(spans) else activity.steps
        begin, end = _outer_edges(activity, begin, end, floor, ceiling)
        certainty = float(np.percentile(activity.speech[begin:end], 80))
        parts = _without_pauses(activity, begin, end)
        found += [Span(a * HOP_SECONDS, b * HOP_SECONDS, certainty) for a, b in parts]
    return [span for span in _joined(found) if span.seconds >= min_speech]


def _outer_edges(activity: Activity, begin: int, end: int, floor: int, ceiling: int) -> tuple[int, int]:
    """The level is sharper than the detector, where the voice stands out of what is before and after it."""
    loud = float(np.percentile(activity.level[begin:end], 90))
    reach, bridge = round(REACH / HOP_SECONDS), round(BRIDGE / HOP_SECONDS)
    limit = _limit(activity, max(0, begin - AROUND), begin, loud)
    if limit is not None:
        begin = _edge(activity.level, begin, max(floor, begin - reach), min(end, begin + reach), limit, bridge)
    limit = _limit(activity, end, min(activity.steps, end + AROUND), loud)
    if limit is not None:
        back = activity.level[::-1]
        last = len(back)
        end = last - _edge(back, last - end, last - min(ceiling, end + reach), last - max(begin, end - reach), limit, bridge)
    return begin, max(end, begin + 1)


def _limit(activity: Activity, begin: int, end: int, loud: float) -> float | None:
    """The level that parts the voice from what is around it; none where they are about as loud."""
    around = activity.level[begin:end]
    if not len(around):
        return loud - DYNAMICS_DB
    silent = around[activity.speech[begin:end] < 0.3]
    # Between two who hardly wait for each other only the pauses within what they say tell how quiet it is.
    noise = float(np.median(silent)) if len(silent) >= 10 else float(np.percentile(around, 4))
    # Not its loudest moments: the detector misses the first word now and then.
    peaks = float(np.percentile(silent, 80)) + 3 if len(silent) >= 10 else noise
    if loud - max(noise, peaks) < CLEAR_DB:
        return None
    return max(noise + ABOVE_NOISE_DB, peaks, loud - DYNAMICS_DB)


def _edge(level: np.ndarray, at: int, first: int, last: int, limit: float, bridge: int) -> int:
    """Where the sound that is there at `at` begins, between `first` and `last`; `at` where that cannot be seen."""
    voiced = level[first:last] >= limit
    here = min(max(at - first, 0), len(voiced) - 1)
    if not len(voiced) or not voiced.any():
        return at
    index = here
    while index < len(voiced) and not voiced[index]:
        index += 1
    if index == len(voiced):
        return at
    edge = index
    while index > 0:
        index -= 1
        if voiced[index]:
            edge = index
        elif edge - index > bridge:
            return first + edge
    # Sound up to where we look: this is no edge, something else is sounding there.
    return first + edge if edge > 1 or first == 0 else at


def _without_pauses(activity: Activity, begin: int, end: int) -> list[tuple[int, int]]:
    """Parts a span where the level falls out of it for a while."""
    level = activity.level[begin:end]
    loud, quiet = float(np.percentile(level, 80)), float(np.percentile(level, 2))
    limit = max(loud - DYNAMICS_DB, min(quiet + ABOVE_NOISE_DB, loud - CLEAR_DB))
    shortest = round(SHORTEST_PAUSE / HOP_SECONDS)
    parts: list[tuple[int, int]] = []
    at = 0
    for first, last in runs(level < limit):
        if last - first >= shortest and first > 0 and last < len(level):
            parts.append((begin + at, begin + first))
            at = last
    return [*parts, (begin + at, end)]


def _joined(spans: list[Span]) -> list[Span]:
    """One where the pause between two is too short to be one."""
    joined: list[Span] = []
    for span in spans:
        if joined and span.start - joined[-1].end < SHORTEST_PAUSE:
            certainty = max(joined[-1].certainty, span.certainty)
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end), certainty)
        else:
            joined.append(span)
    return joined
