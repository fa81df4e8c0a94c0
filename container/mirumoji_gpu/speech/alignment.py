"""Puts the pauses that are heard between the words that were understood."""

from __future__ import annotations

from dataclasses import replace
from typing import Sequence

from .sentences import Mark, mark_after
from .spans import Span
from .words import Word

# Costs, in seconds of a wrong time: of a sentence or clause that ends without a pause, and of a pause within a phrase.
LOST_PAUSE = {Mark.SENTENCE: 0.6, Mark.LIKELY_SENTENCE: 0.35, Mark.CLAUSE: 0.1, Mark.NONE: 0.0}
WITHIN_PHRASE = 0.35
# Of a second of speech without a word, and of a second of pause within one.
WORDLESS_SPEECH, PAUSE_IN_WORD = 2.0, 3.0
# A word can have a pause of this length in it: a geminate, or a plosive.
LONGEST_CLOSURE = 0.16
# How far off a word may be.
REACH = 4.0
INFINITY = float("inf")


def align(words: Sequence[Word], spans: Sequence[Span], language: str) -> list[Word]:
    """
    Words with the times of the speech that holds them. Whisper is some tenths of a second off, and more beside a
    pause; the pauses are known to a hundredth, and sentences end at one.
    """
    if not words or not spans:
        return list(words)
    aligned: list[Word] = []
    cuts = _Search(words, spans, language).best_cuts()
    for (first, begin), (last, end) in zip(cuts, cuts[1:]):
        if last > first:
            aligned += _stretched(words[first:last], spans[begin].start, spans[end - 1].end)
    return aligned


class _Search:
    """The cheapest way to part words and spans together, by dynamic programming."""

    def __init__(self, words: Sequence[Word], spans: Sequence[Span], language: str) -> None:
        self.spans = spans
        self.count = len(words)
        inner = [(a.end + b.start) / 2 for a, b in zip(words, words[1:])]
        self.times = [words[0].start, *inner, words[-1].end]
        marks = [
            mark_after("".join(word.text for word in words[max(0, at - 6) : at]), words[at].text, language)
            for at in range(1, len(words))
        ]
        self.within = [0.0, *(WITHIN_PHRASE if mark is Mark.NONE else 0.0 for mark in marks), 0.0]
        # Sums of the costs of having no pause at any of the first places.
        self.lost = [0.0]
        for mark in marks:
            self.lost.append(self.lost[-1] + LOST_PAUSE[mark])
        self.lost.append(self.lost[-1])

    def best_cuts(self) -> list[tuple[int, int]]:
        """Pairs of how many words, and how many spans, are before a cut; all between two cuts belongs together."""
        last = len(self.spans)
        best: list[dict[int, tuple[float, tuple[int, int] | None]]] = [{0: (0.0, None)}]
        for j in range(1, last + 1):
            reached: dict[int, tuple[float, tuple[int, int] | None]] = {}
            for i in [self.count] if j == last else self._near(j):
                cost, source = self._cheapest(best, i, j)
                if source is not None:
                    reached[i] = (cost, source)
            best.append(reached)
        cuts = [(self.count, last)]
        while cuts[-1][1] > 0:
            i, j = cuts[-1]
            cuts.append(best[j][i][1] if i in best[j] else (0, 0))  # type: ignore[arg-type]
        return cuts[::-1]

    def _near(self, j: int) -> list[int]:
        """The places that the pause after the first j spans could have."""
        low, high = self.spans[j - 1].end - REACH, self.spans[j].start + REACH
        return [i for i, time in enumerate(self.times) if low <= time <= high]

    def _cheapest(self, best: list[dict], i: int, j: int) -> tuple[float, tuple[int, int] | None]:
        place = self._misplaced(i, j)
        cost, source = INFINITY, None
        together = speech = 0.0
        for k in range(j - 1, -1, -1):
            # Half sure is as good as not: music and noise sound like it for a moment.
            speech += self.spans[k].seconds * max(0.0, 2 * self.spans[k].certainty - 1) ** 2
            if k < j - 1:
                pause = self.spans[k + 1].start - self.spans[k].end
                together += max(0.0, pause - LONGEST_CLOSURE) * PAUSE_IN_WORD
            if together > 6:
                break
            for m, (before, _) in best[k].items():
                if m > i:
                    continue
                if m == i:
                    total = before + WORDLESS_SPEECH * min(1.0, speech)
                else:
                    total = before + place + self.lost[i - 1] - self.lost[m]
                if total + together < cost:
                    cost, source = total + together, (m, k)
        return cost, source

    def _misplaced(self, i: int, j: int) -> float:
        end = self.spans[j - 1].end
        if j == len(self.spans):
            return abs(self.times[i] - end) / 2
        return max(0.0, end - self.times[i], self.times[i] - self.spans[j].start) + self.within[i]


def _stretched(words: Sequence[Word], start: float, end: float) -> list[Word]:
    """Words that fill a time, one after the other."""
    low = words[0].start
    scale = (end - start) / max(words[-1].end - low, 0.01)
    edges = [start]
    for word, following in zip(words, words[1:]):
        middle = start + ((word.end + following.start) / 2 - low) * scale
        edges.append(min(max(middle, edges[-1]), end))
    edges.append(end)
    return [replace(word, start=a, end=b) for word, a, b in zip(words, edges, edges[1:])]
