"""Words with their times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence


@dataclass(frozen=True)
class Word:
    """Times in seconds; the text as the engine wrote it, with a space before it where there is one."""

    text: str
    start: float
    end: float
    probability: float


def text_of(words: Sequence[Word]) -> str:
    return "".join(word.text for word in words).strip()
