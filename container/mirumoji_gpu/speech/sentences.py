"""Where sentences end."""

from __future__ import annotations

import enum
import re
from typing import Iterator, Sequence

from .words import Word

CLOSING = r"[」』）)\]\"'”’]*\s*$"
SENTENCE_END = re.compile(r"[。．.!?！？…‥♪]" + CLOSING)
CLAUSE_END = re.compile(r"[、，,;:；：]" + CLOSING)
# "Mr." ends no sentence, and neither does an initial.
ABBREVIATION = re.compile(r"(?:^|\s)(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|vs|etc|No|Jr|Sr)\.$")
# Japanese that Whisper left without a full stop: the polite forms end a sentence, with a particle at most after them.
POLITE_END = re.compile(
    r"(?:です|ます|ました|ません|でした|でしょう|ましょう|ください|下さい)(?:か|ね|よ|よね|わ|かね)?[、，,]?$"
)
WITHOUT_SPACES = frozenset({"ja", "zh", "yue"})

# After a sentence that is marked as one a breath is enough, others take a pause.
BREATH, PAUSE, SILENCE = 0.0, 0.1, 0.9


class Mark(enum.Enum):
    """Kind of a place between two words, by the text alone."""

    SENTENCE = enum.auto()
    LIKELY_SENTENCE = enum.auto()
    CLAUSE = enum.auto()
    NONE = enum.auto()


LEAST_PAUSE = {Mark.SENTENCE: BREATH, Mark.LIKELY_SENTENCE: PAUSE, Mark.CLAUSE: SILENCE, Mark.NONE: SILENCE}


def mark_after(text: str, following: str, language: str) -> Mark:
    """Whether a sentence ends after a text, or might."""
    tail = text.rstrip()
    if SENTENCE_END.search(tail) and not ABBREVIATION.search(tail):
        return Mark.SENTENCE
    # In these languages Whisper writes a space where it would have to decide on a mark.
    if language in WITHOUT_SPACES and following.startswith((" ", "\u3000")):
        return Mark.LIKELY_SENTENCE
    if language == "ja" and POLITE_END.search(tail):
        return Mark.LIKELY_SENTENCE
    return Mark.CLAUSE if CLAUSE_END.search(tail) else Mark.NONE


def sentences_of(words: Sequence[Word], language: str) -> Iterator[list[Word]]:
    """Parts words at the ends of sentences, and at long silences."""
    sentence: list[Word] = []
    for word, following in zip(words, [*words[1:], None]):
        sentence.append(word)
        if following is None or _ends(sentence, following, language):
            yield sentence
            sentence = []


def _ends(sentence: Sequence[Word], following: Word, language: str) -> bool:
    tail = "".join(word.text for word in sentence[-6:])
    mark = mark_after(tail, following.text, language)
    return following.start - sentence[-1].end >= LEAST_PAUSE[mark]
